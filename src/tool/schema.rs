//! Arguments: their schema for the model, and the check of what the model sends against it.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The most bytes of a schema that an error shows.
const SHOWN: usize = 2000;

/// The schema of a type in the plain dialect that every provider takes: nothing by reference, no titles, no number
/// formats, and an optional field is one that may be left out.
pub(super) fn of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    tidy(&mut schema);
    if let Value::Object(root) = &mut schema {
        root.remove("description");
        // Some providers want it even where there is nothing to list.
        root.entry("properties").or_insert_with(|| Value::Object(serde_json::Map::new()));
    }
    schema
}

/// The arguments of a call, or an answer with what is wrong and the part of the schema that says how it should be.
pub(super) fn parse<T: DeserializeOwned>(name: &str, schema: &Value, arguments: &str) -> Result<T, String> {
    // Some models send nothing where there is nothing to say.
    let arguments = if arguments.trim().is_empty() { "{}" } else { arguments };
    let wrong = |what: String, part: &Value| {
        let part = part.to_string();
        let part = &part[..super::output::floor(&part, SHOWN)];
        format!("The arguments of {name} cannot be used, so nothing was done: {what}. Expected here: {part}")
    };
    let value: Value =
        serde_json::from_str(arguments).map_err(|error| wrong(format!("they are not JSON ({error})"), schema))?;
    shaped(&value, schema, "").map_err(|(what, part)| wrong(what, part))?;
    serde_path_to_error::deserialize(&value).map_err(|error| {
        let path = error.path().to_string();
        let at = if path == "." { String::new() } else { format!("{path}: ") };
        wrong(format!("{at}{}", error.inner()), part(schema, error.path()))
    })
}

fn tidy(schema: &mut Value) {
    let Value::Object(object) = schema else { return };
    for noise in ["$schema", "title", "format"] {
        object.remove(noise);
    }
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::String(description)) = object.get_mut("description") {
        *description = description.replace('\n', " ");
    }
    for (key, inner) in object.iter_mut() {
        match (key.as_str(), inner) {
            // Names of fields, not words of the schema.
            ("properties", Value::Object(fields)) => fields.values_mut().for_each(tidy),
            ("items", inner) => tidy(inner),
            _ => {}
        }
    }
}

/// Objects where the schema has objects: serde would take an array for a struct too, field by field.
fn shaped<'a>(value: &Value, schema: &'a Value, at: &str) -> Result<(), (String, &'a Value)> {
    if schema["type"] == "object" && !value.is_object() {
        let at = if at.is_empty() { "they are" } else { &format!("{at} is") };
        return Err((format!("{at} not an object"), schema));
    }
    match value {
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
            let at = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
            shaped(value, &schema["properties"][name], &at)
        }),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, value)| shaped(value, &schema["items"], &format!("{at}[{index}]"))),
        _ => Ok(()),
    }
}

/// The part of the schema that a path leads to, as far as it leads.
fn part<'a>(schema: &'a Value, path: &serde_path_to_error::Path) -> &'a Value {
    use serde_path_to_error::Segment;
    let mut part = schema;
    for segment in path {
        let inner = match segment {
            Segment::Map { key } => &part["properties"][key.as_str()],
            Segment::Seq { .. } => &part["items"],
            Segment::Enum { .. } | Segment::Unknown => &Value::Null,
        };
        if inner.is_null() {
            break;
        }
        part = inner;
    }
    part
}
