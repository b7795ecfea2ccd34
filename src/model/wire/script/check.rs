//! What a request must be: valid in itself, and what the script expects.

use std::collections::HashSet;
use std::fmt::Write;
use std::sync::Arc;

use crate::model::script::{Expect, Last};
use crate::model::{Block, Item, ModelError, Request};

/// Refuses a history that a real provider would refuse: a call without a result, a result without its call, two calls
/// of one id, a request without anything to answer.
pub(super) fn history(items: &[Arc<Item>]) -> Result<(), ModelError> {
    let fault = |text: String| Err(ModelError::Script(format!("the history is not valid: {text}")));
    let (mut seen, mut open) = (HashSet::new(), Vec::new());
    for (number, item) in items.iter().enumerate() {
        if let Item::Results { results } = &**item {
            let got: Vec<&str> = results.iter().map(|result| result.call_id.as_str()).collect();
            if got != open || got.is_empty() {
                return fault(format!("item {number} has results for {got:?}, the calls before it are {open:?}"));
            }
            open.clear();
            continue;
        }
        if !open.is_empty() {
            return fault(format!("the calls {open:?} have no results before item {number}"));
        }
        if let Item::Assistant { blocks, .. } = &**item {
            for block in blocks {
                let Block::Call { id, .. } = block else { continue };
                if !seen.insert(id.as_str()) {
                    return fault(format!("the call id {id:?} is used twice"));
                }
                open.push(id.as_str());
            }
        }
    }
    if !open.is_empty() {
        return fault(format!("the calls {open:?} have no results"));
    }
    if items.is_empty() {
        return fault("it is empty".to_owned());
    }
    Ok(())
}

/// Refuses a request that is not what the turn expects; the text shows each difference.
pub(super) fn expected(expect: &Expect, request: &Request) -> Result<(), ModelError> {
    let mut said = String::new();
    let newest = newest(&request.items);
    for text in expect.contains.iter().filter(|text| !newest.contains(*text)) {
        let _ = write!(said, "\n- expected to contain {text:?}, but the newest message is: {}", excerpt(&newest));
    }
    for text in expect.lacks.iter().filter(|text| newest.contains(*text)) {
        let _ = write!(said, "\n- expected not to contain {text:?}, but the newest message is: {}", excerpt(&newest));
    }
    for text in expect.system_contains.iter().filter(|text| !request.system.contains(*text)) {
        let _ =
            write!(said, "\n- expected the system prompt to contain {text:?}, but it is: {}", excerpt(&request.system));
    }
    let offered: Vec<&str> = request.tools.iter().map(|tool| tool.name.as_str()).collect();
    for tool in expect.tools.iter().filter(|tool| !offered.contains(&tool.as_str())) {
        let _ = write!(said, "\n- expected the tool {tool}, but on offer are {offered:?}");
    }
    for tool in expect.no_tools.iter().filter(|tool| offered.contains(&tool.as_str())) {
        let _ = write!(said, "\n- expected no tool {tool}, but on offer are {offered:?}");
    }
    let last = request.items.last().map_or("nothing", |item| match &**item {
        Item::User { .. } => "user",
        Item::Assistant { .. } => "assistant",
        Item::Results { .. } => "results",
    });
    let wanted = expect.last.map(|last| match last {
        Last::User => "user",
        Last::Results => "results",
    });
    if let Some(wanted) = wanted.filter(|wanted| *wanted != last) {
        let _ = write!(said, "\n- expected the newest item to be of the kind {wanted}, but it is {last}");
    }
    if let Some(ok) = expect.results_ok {
        let results = request.items.iter().rev().find_map(|item| match &**item {
            Item::Results { results } => Some(results),
            _ => None,
        });
        let good = results.is_some_and(|results| results.iter().all(|result| result.ok));
        if good != ok {
            let _ = write!(said, "\n- expected the results to be {}, but they are: ", if ok { "good" } else { "bad" });
            for result in results.into_iter().flatten() {
                let _ = write!(said, "{} ok={} {} ", result.name, result.ok, excerpt(&result.content));
            }
        }
    }
    match said.is_empty() {
        true => Ok(()),
        false => Err(ModelError::Script(format!("the request is not what the script expects:{said}"))),
    }
}

/// The newest message of the person and what came after it, as one text.
fn newest(items: &[Arc<Item>]) -> String {
    let mut texts = Vec::new();
    for item in items.iter().rev() {
        match &**item {
            Item::User { text, .. } => {
                texts.push(text.as_str());
                break;
            }
            Item::Results { results } => texts.extend(results.iter().rev().map(|result| result.content.as_str())),
            Item::Assistant { .. } => {}
        }
    }
    texts.reverse();
    texts.join("\n")
}

/// Enough of a text to see what it is: its end says what a template added last.
pub(super) fn excerpt(text: &str) -> String {
    const SIDE: usize = 600;
    let count = text.chars().count();
    if count <= 2 * SIDE {
        return format!("{text:?}");
    }
    let head: String = text.chars().take(SIDE).collect();
    let tail: String = text.chars().skip(count - SIDE).collect();
    format!("{head:?} … {} characters … {tail:?}", count - 2 * SIDE)
}
