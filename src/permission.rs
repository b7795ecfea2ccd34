//! What a run may touch: the path authority, the rules, and the gate that asks a person. Tools and LSP are unknown here.

mod gate;
mod path;
mod protected;
mod question;
mod rules;
mod shell;
mod uri;
mod visible;
mod want;

pub use gate::{Ask, Called, Gate, Judgement, Remembered};
pub use path::{Access, Denied, Grant, Look, RULES, Roots, named_by, real_path};
pub use protected::is_protected;
pub use question::{Kind, Question, Reply};
pub use rules::{Rules, Ruling};
pub(crate) use visible::{visible, visible_line};
pub use want::Want;
