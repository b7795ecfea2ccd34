//! What is known of models beyond the settings: what their providers list, what an overflow has taught, and a few facts for the
//! first minute. <https://docs.anthropic.com/en/docs/about-claude/models>, <https://platform.openai.com/docs/models>,
//! <https://ai.google.dev/gemini-api/docs/models>, <https://docs.cohere.com/docs/models>.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::protocol::now_ms;
use crate::settings::make_private;

/// Where the catalog is kept, below the state folder.
const FILE: &str = "models.json";
/// How long a learned limit counts, in milliseconds: a day. A newer list of the provider ends it before.
const LEARNED_MS: u64 = 24 * 60 * 60 * 1000;
/// A limit below this is no model's: a figure in a message was taken for one.
const LEAST: u64 = 256;

/// One model, as its provider lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Offered {
    /// What the provider calls it.
    pub id: String,
    /// The tokens that it takes in and gives out in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<u64>,
    /// The most that one answer may hold, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output: Option<u64>,
}

/// A number of tokens, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The number.
    pub tokens: u64,
    /// Who says so.
    pub from: Says,
}

/// Who can say what a model's limits are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// The person.
    Settings,
    /// The provider, in its list.
    Provider,
    /// The provider, in refusing a request.
    Overflow,
    /// Cowrite, which asks for no more where nobody says how much it may be.
    Asked,
    /// Cowrite's own table of well-known models.
    Table,
    /// The scripted model's file.
    Script,
}

/// What one provider listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Listed {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Its models, in its order.
    pub models: Vec<Offered>,
}

/// What is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Kept {
    /// By place.
    listed: BTreeMap<String, Listed>,
    /// Limits that an overflow has named, by place and model.
    learned: BTreeMap<String, Learned>,
}

/// A limit that an overflow has named. A server may be started anew with another one, so it counts for a while only.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Learned {
    limit: u64,
    at_ms: u64,
}

/// What a provider is called here: its kind and its address.
pub(crate) fn place(kind: &str, address: &str) -> String {
    format!("{kind} {address}")
}

/// The catalog, in memory and in its file.
#[derive(Debug)]
pub(crate) struct Catalog {
    file: Option<PathBuf>,
    kept: Mutex<Kept>,
}

impl Catalog {
    /// What was kept in a state folder. A file that cannot be read is as good as none: everything in it can be asked for again.
    pub(crate) fn load(state: Option<&Path>) -> Self {
        let file = state.map(|state| state.join(FILE));
        let kept = file.as_deref().and_then(read).unwrap_or_default();
        Self { file, kept: Mutex::new(kept) }
    }

    /// Tokens in all, as far as anybody has said: what the settings declare, else what is generally known, and never more than
    /// the provider lists or an overflow has taught.
    pub(crate) fn context(&self, place: &str, model: &str, declared: Option<u64>) -> Option<u64> {
        self.context_limit(place, model, declared).map(|limit| limit.tokens)
    }

    /// The same, and who says so.
    pub(crate) fn context_limit(&self, place: &str, model: &str, declared: Option<u64>) -> Option<Limit> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let declared = declared.map(|tokens| Limit { tokens, from: Says::Settings });
        let listed = kept.find(place, model).and_then(|offered| offered.context);
        let listed_at = kept.listed.get(place).filter(|_| listed.is_some()).map_or(0, |listed| listed.at_ms);
        let since = listed_at.max(now_ms().saturating_sub(LEARNED_MS));
        let learned = kept.learned.get(&format!("{place} {model}")).filter(|learned| learned.at_ms >= since);
        let listed = listed.map(|tokens| Limit { tokens, from: Says::Provider });
        let learned = learned.map(|learned| Limit { tokens: learned.limit, from: Says::Overflow });
        let stated =
            declared.or(listed).or_else(|| known(model).map(|(tokens, _)| Limit { tokens, from: Says::Table }));
        [stated, listed, learned].into_iter().flatten().min_by_key(|limit| limit.tokens)
    }

    /// The most that one answer may hold.
    pub(crate) fn max_output(&self, place: &str, model: &str) -> Option<u64> {
        self.output_limit(place, model).map(|limit| limit.tokens)
    }

    /// The same, and who says so.
    pub(crate) fn output_limit(&self, place: &str, model: &str) -> Option<Limit> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let listed = kept.find(place, model).and_then(|offered| offered.max_output);
        let listed = listed.map(|tokens| Limit { tokens, from: Says::Provider });
        listed.or_else(|| known(model).map(|(_, tokens)| Limit { tokens, from: Says::Table }))
    }

    /// Takes in what a provider listed. Waits for the disk.
    pub(crate) fn list(&self, place: &str, models: Vec<Offered>) -> Listed {
        let listed = Listed { at_ms: now_ms(), models };
        self.change(|kept| kept.listed.insert(place.to_owned(), listed.clone()));
        listed
    }

    /// What a provider listed before.
    pub(crate) fn listed(&self, place: &str) -> Option<Listed> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).listed.get(place).cloned()
    }

    /// Takes in a limit that an overflow has named. Waits for the disk.
    pub(crate) fn learn(&self, place: &str, model: &str, limit: u64) {
        if limit >= LEAST {
            let learned = Learned { limit, at_ms: now_ms() };
            self.change(|kept| kept.learned.insert(format!("{place} {model}"), learned));
        }
    }

    /// Changes what is kept, here and in the file. Another process may have written meanwhile, so its words are read first.
    fn change<T>(&self, change: impl Fn(&mut Kept) -> T) {
        // Held until the file is written, so that one change does not undo another.
        let mut here = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut here);
        let Some(file) = &self.file else { return };
        let mut kept = read(file).unwrap_or_default();
        change(&mut kept);
        if let Err(error) = write(file, &kept) {
            tracing::debug!(%error, file = %file.display(), "what is known of the models could not be kept");
        }
    }
}

impl Kept {
    fn find(&self, place: &str, model: &str) -> Option<&Offered> {
        self.listed.get(place)?.models.iter().find(|offered| offered.id == model)
    }
}

fn read(file: &Path) -> Option<Kept> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

fn write(file: &Path, kept: &Kept) -> io::Result<()> {
    let folder = file.parent().ok_or(io::ErrorKind::NotFound)?;
    make_private(folder)?;
    // Made for this user alone, and in place at once or not at all.
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(&serde_json::to_vec(kept)?)?;
    new.persist(file).map(drop).map_err(|error| error.error)
}

/// The models in a provider's list, whichever provider it is: they differ in names and not in shape.
pub(crate) fn offered(body: &str) -> serde_json::Result<Vec<Offered>> {
    let body: Value = serde_json::from_str(body)?;
    let lists = ["data", "models", "modelSummaries"];
    let list = lists.iter().find_map(|name| body.get(name)).unwrap_or(&body).as_array().cloned().unwrap_or_default();
    let models = list.iter().filter_map(|model| {
        let text = |names: &[&str]| names.iter().find_map(|name| model.pointer(name)?.as_str());
        let number = |names: &[&str]| names.iter().find_map(|name| whole(model.pointer(name)?)).filter(|n| *n > 0);
        let id = text(&["/id", "/name", "/modelId"])?;
        Some(Offered {
            id: id.strip_prefix("models/").unwrap_or(id).to_owned(),
            context: number(&[
                "/max_input_tokens",
                "/inputTokenLimit",
                "/context_length",
                "/max_model_len",
                "/meta/n_ctx",
                "/context_window",
            ]),
            max_output: number(&["/max_tokens", "/outputTokenLimit", "/top_provider/max_completion_tokens"]),
        })
    });
    Ok(models.collect())
}

/// A number of tokens; Cohere writes them with a decimal point.
fn whole(number: &Value) -> Option<u64> {
    let exact = || number.as_f64().filter(|number| (0.0..1e15).contains(number)).map(|number| number as u64);
    number.as_u64().or_else(exact)
}

/// Tokens in all and in one answer, by the beginning of a model's name. Only for models that nobody has listed yet.
fn known(model: &str) -> Option<(u64, u64)> {
    const KNOWN: &[(&str, u64, u64)] = &[
        ("claude-haiku-4-5", 200_000, 64_000),
        ("claude-fable-5", 1_000_000, 128_000),
        ("claude-opus-5", 1_000_000, 128_000),
        ("claude-sonnet-5", 1_000_000, 128_000),
        ("claude-haiku-5", 1_000_000, 128_000),
        ("gpt-6", 1_050_000, 128_000),
        ("gpt-5.6", 1_050_000, 128_000),
        ("gpt-5.4-mini", 400_000, 128_000),
        ("gpt-4.1", 1_047_576, 32_768),
        ("gemini-", 1_048_576, 65_536),
        ("command-a-reasoning", 256_000, 32_000),
        ("command-a", 256_000, 8_000),
    ];
    // Bedrock and OpenRouter put the maker, and Bedrock a region, before the name.
    let name = model.rsplit('/').next().unwrap_or(model).to_lowercase();
    let name = name.rsplit("anthropic.").next().unwrap_or(&name);
    KNOWN.iter().find(|(beginning, ..)| name.starts_with(beginning)).map(|(_, context, output)| (*context, *output))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_of_all_providers_are_read() {
        let of = |body: &str| {
            let models = offered(body).unwrap();
            models.into_iter().map(|model| (model.id, model.context, model.max_output)).collect::<Vec<_>>()
        };
        let anthropic = r#"{"data":[{"type":"model","id":"claude-x","max_input_tokens":1000000,"max_tokens":128000}],"has_more":false}"#;
        assert_eq!(of(anthropic), [("claude-x".to_owned(), Some(1_000_000), Some(128_000))]);
        let openai = r#"{"object":"list","data":[{"id":"gpt-6-sol","object":"model","owned_by":"openai"}]}"#;
        assert_eq!(of(openai), [("gpt-6-sol".to_owned(), None, None)]);
        let gemini =
            r#"{"models":[{"name":"models/gemini-4-argon","inputTokenLimit":1048576,"outputTokenLimit":65536}]}"#;
        assert_eq!(of(gemini), [("gemini-4-argon".to_owned(), Some(1_048_576), Some(65_536))]);
        let cohere = r#"{"models":[{"name":"command-a-03-2025","context_length":256000.0}, {"name":"b","context_length":4096}]}"#;
        assert_eq!(of(cohere).iter().map(|model| model.1).collect::<Vec<_>>(), [Some(256_000), Some(4096)]);
        let openrouter =
            r#"{"data":[{"id":"x/y","context_length":32768,"top_provider":{"max_completion_tokens":4096}}]}"#;
        assert_eq!(of(openrouter), [("x/y".to_owned(), Some(32_768), Some(4096))]);
        let vllm = r#"{"object":"list","data":[{"id":"qwen","max_model_len":40960}]}"#;
        assert_eq!(of(vllm), [("qwen".to_owned(), Some(40_960), None)]);
        assert_eq!(of("{}"), []);
        assert!(offered("<html>").is_err());
    }

    #[test]
    fn the_least_that_anybody_says_counts_and_outlives_the_process() {
        let state = tempfile::tempdir().unwrap();
        let catalog = Catalog::load(Some(state.path()));
        assert_eq!(catalog.context("a", "m", None), None);
        let model = Offered { id: "m".to_owned(), context: Some(40_000), max_output: Some(4_000) };
        catalog.list("a", vec![model.clone()]);
        assert_eq!((catalog.context("a", "m", Some(50_000)), catalog.context("b", "m", None)), (Some(40_000), None));
        catalog.learn("a", "m", 8_192);
        catalog.learn("a", "m2", 7);
        assert_eq!((catalog.context("a", "m", None), catalog.context("a", "m2", None)), (Some(8_192), None));

        let again = Catalog::load(Some(state.path()));
        assert_eq!((again.context("a", "m", None), again.max_output("a", "m")), (Some(8_192), Some(4_000)));
        assert_eq!(again.context("a", "m", Some(4_096)), Some(4_096));
        assert_eq!(again.listed("a").unwrap().models, [model]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(state.path().join(FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let old = format!(r#"{{"learned":{{"a m":{{"limit":999,"atMs":{}}}}}}}"#, now_ms() - LEARNED_MS - 60_000);
        std::fs::write(state.path().join(FILE), old).unwrap();
        assert_eq!(Catalog::load(Some(state.path())).context("a", "m", None), None, "it may have grown since");
        std::fs::write(state.path().join(FILE), "{broken").unwrap();
        assert_eq!(Catalog::load(Some(state.path())).context("a", "m", None), None);
    }

    #[test]
    fn what_is_generally_known_goes_by_the_beginning_of_the_name() {
        let catalog = Catalog::load(None);
        for (model, context) in [
            ("claude-sonnet-5-5", Some(1_000_000)),
            ("eu.anthropic.claude-haiku-4-5-20251001-v1:0", Some(200_000)),
            ("anthropic/claude-opus-5.5", Some(1_000_000)),
            ("gpt-4.1-mini", Some(1_047_576)),
            ("command-a-03-2025", Some(256_000)),
            ("qwen3", None),
        ] {
            assert_eq!(catalog.context("x", model, None), context, "{model}");
        }
        assert_eq!(catalog.max_output("x", "gemini-4-argon"), Some(65_536));
    }
}
