//! What the model can take: how full its context is, what it is shown of a history, and how the beginning of a long one is
//! summarised between requests. Wires and LSP are unknown here.
//!
//! ```text
//! window      the history as the model is shown it     accounting, tokens: how much that is
//! budget      what may stand in it                     from the limit and the settings
//! project     previews for old large results
//! plan        where a history may be cut
//! summary/    what stands for the part before the cut  facts: the program's own part of it
//! worker      one summariser at a time, beside everything else
//! recall      what was compacted is still found
//! ```

mod accounting;
mod budget;
mod plan;
mod project;
pub mod recall;
mod summary;
mod tokens;
mod window;
mod worker;

pub use accounting::Accounting;
pub use budget::Budget;
pub use plan::{Cut, Nothing, plan};
pub use project::Previews;
#[cfg(test)]
pub(crate) use summary::planted;
pub use summary::{Facts, Summary};
pub use tokens::{of_fixed, of_item, of_text};
pub use window::{Stale, Window};
pub use worker::{BeforeSummary, Compactor, Failed, Failure, Job, Made, Outcome, Reason, Refusal};
