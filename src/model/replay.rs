//! What of a history a provider is sent: raw blocks of its own alone, and names that its wire takes.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::key::Credential;
use super::wire::Names;
use super::{Block, Item, Request, ToolSpec};

/// Who stands behind a wire: raw blocks (signatures, encrypted reasoning) are worth nothing to anybody else. The account is a
/// digest of the key, cut so short that it says nothing of it.
pub(crate) fn origin(kind: &str, host: &str, credential: &Credential, model: &str) -> String {
    let account = credential.account().map_or_else(String::new, |account| {
        let digest = Sha256::new().chain_update("cowrite account\n").chain_update(account).finalize();
        digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
    });
    format!("{kind} {host} {account} {}", family(model))
}

/// A model's name without its region, its date and its version mark: the same model by another name reads its own blocks.
fn family(model: &str) -> String {
    let model = model.to_lowercase();
    let model = ["us.", "eu.", "apac.", "jp.", "au.", "global."]
        .iter()
        .find_map(|region| model.strip_prefix(region))
        .unwrap_or(&model);
    // An ARN is a name of its own, and so is what Ollama puts behind a colon.
    let model = model.split('@').next().unwrap_or(model);
    let model = match model.split_once(':') {
        Some((name, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => model,
    };
    let mut words: Vec<&str> = model.split('-').collect();
    while let Some(last) = words.last() {
        let dated = last.len() == 8 && last.bytes().all(|byte| byte.is_ascii_digit());
        let version = last.strip_prefix('v').is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
        if words.len() > 1 && (dated || version || *last == "latest") {
            words.pop();
        } else if let [.., year, month, day] = words.as_slice()
            && [year, month, day].map(|part| part.len()) == [4, 2, 2]
            && [year, month, day].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
        {
            words.truncate(words.len() - 3);
        } else {
            break;
        }
    }
    words.join("-")
}

/// Tells one opaque block from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    fn of(raw: &RawValue) -> Self {
        let mut hasher = DefaultHasher::new();
        raw.get().hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// Which opaque blocks are replayed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replayable<'a> {
    /// To whom.
    pub(crate) origin: &'a str,
    /// What was rejected before.
    pub(crate) rejected: &'a HashSet<Fingerprint>,
}

impl Replayable<'_> {
    fn takes(self, said_by: &str, raw: &RawValue) -> bool {
        self.origin == said_by && !self.rejected.contains(&Fingerprint::of(raw))
    }
}

/// A request as a wire may translate it.
#[derive(Debug)]
pub(crate) struct Fitted {
    /// The request.
    pub(crate) request: Request,
    /// What opaque blocks are replayed in it, which the provider may reject.
    pub(crate) replayed: Vec<Fingerprint>,
    /// The tools' own names, by those that were sent instead.
    own: HashMap<String, String>,
}

impl Fitted {
    /// Makes a request fit: raw blocks stay where they may be replayed, names follow the rule. What already fits is shared and
    /// not copied, and the same history always fits in the same way: prompt caches live on it.
    pub(crate) fn new(request: &Request, replay: Option<Replayable<'_>>, rule: Names) -> Self {
        let mut fitted = Self { request: request.clone(), replayed: Vec::new(), own: HashMap::new() };
        if request.tools.iter().any(|tool| rule.fit(&tool.name).is_some()) {
            let tool = |tool: &ToolSpec| ToolSpec { name: fitted.renamed(&tool.name, rule), ..tool.clone() };
            fitted.request.tools = request.tools.iter().map(tool).collect();
        }
        fitted.request.items = request.items.iter().map(|item| fitted.item(item, replay, rule)).collect();
        fitted
    }

    /// The tool's own name for the one that the model used.
    pub(crate) fn own_name(&self, name: String) -> String {
        self.own.get(&name).cloned().unwrap_or(name)
    }

    fn renamed(&mut self, name: &str, rule: Names) -> String {
        let Some(other) = rule.fit(name) else { return name.to_owned() };
        self.own.insert(other.clone(), name.to_owned());
        other
    }

    fn item(&mut self, item: &Arc<Item>, replay: Option<Replayable<'_>>, rule: Names) -> Arc<Item> {
        let fits = |name: &str| rule.fit(name).is_none();
        match &**item {
            Item::User { .. } => Arc::clone(item),
            Item::Results { results } if results.iter().all(|result| fits(&result.name)) => Arc::clone(item),
            Item::Results { results } => {
                let mut results = results.clone();
                for result in &mut results {
                    result.name = self.renamed(&result.name, rule);
                }
                Arc::new(Item::Results { results })
            }
            Item::Assistant { model, origin: said_by, blocks, partial } => {
                let takes = |raw: &RawValue| replay.is_some_and(|replay| replay.takes(said_by, raw));
                let raws = || blocks.iter().filter_map(Block::raw);
                self.replayed.extend(raws().filter(|raw| takes(raw)).map(|raw| Fingerprint::of(raw)));
                let named = |block: &Block| matches!(block, Block::Call { name, .. } if !fits(name));
                if raws().all(|raw| takes(raw)) && !blocks.iter().any(named) {
                    return Arc::clone(item);
                }
                let blocks = blocks.iter().map(|block| self.block(block, takes, rule)).collect();
                let (model, origin, partial) = (model.clone(), said_by.clone(), *partial);
                Arc::new(Item::Assistant { model, origin, blocks, partial })
            }
        }
    }

    fn block(&mut self, block: &Block, takes: impl Fn(&RawValue) -> bool, rule: Names) -> Block {
        let kept = |raw: Option<Arc<RawValue>>| raw.filter(|raw| takes(raw));
        match block.clone() {
            Block::Call { id, name, arguments, raw } => {
                // A raw call of a renamed tool holds the name that was sent.
                Block::Call { id, name: self.renamed(&name, rule), arguments, raw: kept(raw) }
            }
            Block::Reasoning { text, raw } => Block::Reasoning { text, raw: kept(raw) },
            Block::Text { text, raw } => Block::Text { text, raw: kept(raw) },
        }
    }
}

impl Names {
    /// A name that the rule allows, where this one is not. It holds a digest of the whole, so two never become one.
    fn fit(self, name: &str) -> Option<String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || self.beside.contains(c);
        let first = |name: &str| !self.letter_first || name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !name.is_empty() && name.chars().count() <= self.longest && name.chars().all(allowed) && first(name) {
            return None;
        }
        let digest: String = Sha256::digest(name).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let plain: Cow<'_, str> = if first(name) { name.into() } else { format!("_{name}").into() };
        let plain: String =
            plain.chars().map(|c| if allowed(c) { c } else { '_' }).take(self.longest - digest.len() - 1).collect();
        Some(format!("{plain}_{digest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::wire::testing::{call, raw, request, results, said, text, user};
    use secrecy::SecretString;

    const RULE: Names = Names { longest: 24, beside: "_-", letter_first: true };

    fn key(key: &str) -> Credential {
        Credential::Key(SecretString::from(key))
    }

    #[test]
    fn an_origin_is_a_provider_an_account_and_a_family() {
        let of = |key_: &str, model: &str| origin("anthropic", "api.anthropic.com", &key(key_), model);
        let first = of("sk-canary-1", "claude-sonnet-5-5-20261101");
        assert!(!first.contains("canary"), "{first}");
        assert_eq!(first, of("sk-canary-1", "claude-sonnet-5-5"));
        assert_ne!(first, of("sk-canary-2", "claude-sonnet-5-5"));
        assert_ne!(first, of("sk-canary-1", "claude-opus-5-5"));
        assert_eq!(origin("x", "h", &Credential::None, "gpt-6-2026-08-01"), "x h  gpt-6");
        assert_eq!(family("eu.anthropic.claude-haiku-5-5-20261101-v1:0"), "anthropic.claude-haiku-5-5");
        assert_eq!(family("gemini-4-argon-latest"), "gemini-4-argon");
        assert_eq!(family("llama-3-70b"), "llama-3-70b");
        assert_eq!(family("20261101"), "20261101");
        assert_ne!(family("qwen3:4b"), family("qwen3:30b"));
        let arn = |id: &str| family(&format!("arn:aws:bedrock:us-east-1:1:application-inference-profile/{id}"));
        assert_ne!(arn("a"), arn("b"));
    }

    #[test]
    fn raw_blocks_go_back_to_where_they_came_from_only() {
        let thinking = |by: &str| {
            let block = Block::Reasoning { text: "hm".into(), raw: Some(raw(r#"{"signature":"s"}"#)) };
            said(by, vec![block, text("So.")])
        };
        let given = request(vec![user("a"), thinking("us"), user("b"), thinking("them")]);
        let raws = |fitted: &Fitted| {
            let blocks = |item: &Arc<Item>| match &**item {
                Item::Assistant { blocks, .. } => blocks.iter().filter(|block| block.raw().is_some()).count(),
                _ => 0,
            };
            fitted.request.items.iter().map(blocks).collect::<Vec<_>>()
        };
        let (nothing, origin) = (HashSet::new(), "us");
        let own = Fitted::new(&given, Some(Replayable { origin, rejected: &nothing }), RULE);
        assert_eq!((raws(&own), own.replayed.len()), (vec![0, 1, 0, 0], 1));
        assert!(Arc::ptr_eq(&own.request.items[1], &given.items[1]), "what fits is not copied");
        let nobodys = Fitted::new(&given, None, RULE);
        assert_eq!((raws(&nobodys), nobodys.replayed.len()), (vec![0, 0, 0, 0], 0));
        // What was rejected once is not tried again, and what comes later is.
        let rejected: HashSet<_> = own.replayed.into_iter().collect();
        let later = Block::Reasoning { text: "hm".into(), raw: Some(raw(r#"{"signature":"t"}"#)) };
        let given = request(vec![user("a"), thinking("us"), user("b"), said("us", vec![later]), user("c")]);
        let fitted = Fitted::new(&given, Some(Replayable { origin, rejected: &rejected }), RULE);
        assert_eq!(raws(&fitted), [0, 0, 0, 1, 0]);
    }

    #[test]
    fn names_follow_the_wires_rule_and_come_back() {
        let names = ["read", "docs__sök/π", "docs__sök/σ", "1st", "a_name_that_is_far_too_long_for_it", ""];
        let mut given =
            request(vec![user("a"), said("us", vec![call("1", "1st", "{}")]), results(&[("1", true, "x")])]);
        let spec = given.tools[0].clone();
        given.tools = names.iter().map(|name| ToolSpec { name: (*name).to_owned(), ..spec.clone() }).collect();
        let fitted = Fitted::new(&given, None, RULE);
        let sent: Vec<_> = fitted.request.tools.iter().map(|tool| tool.name.clone()).collect();
        assert_eq!(sent[0], "read");
        for (own, sent) in names.iter().zip(&sent) {
            assert!(RULE.fit(sent).is_none(), "{sent} fits");
            assert_eq!(fitted.own_name(sent.clone()), *own);
        }
        assert_eq!(sent.iter().collect::<std::collections::HashSet<_>>().len(), names.len());
        let Item::Assistant { blocks, .. } = &*fitted.request.items[1] else { panic!() };
        assert!(matches!(&blocks[0], Block::Call { name, .. } if *name == sent[3]));
    }
}
