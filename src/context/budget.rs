//! What may stand in a context, in tokens: from what the model can take in and the settings.

use super::Window;
use crate::settings::CompactionSettings;

/// Ratios are counted in thousandths.
const ONE: u64 = 1_000;
/// What requests begin with (system prompt, tool schemas) when nobody has said: about what a session with every tool has. Of a
/// model that takes in very little it is half of what stands below the soft mark.
const FIXED: u64 = 2_500;
/// The most that a summary's note may hold, however much the model takes in: the names of some thousand files.
const SUMMARY: u64 = 32_000;
/// The most of it that a model writes: a longer one is not read more closely.
const TOLD: u64 = 6_000;

/// Tokens of the model that the settings' shares are taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// What the model can take in.
    pub limit: u64,
    /// From here on the beginning is summarised in the background.
    pub soft: u64,
    /// No request is sent above this.
    pub hard: u64,
    /// Recent entries that stay as they are.
    pub recent: u64,
    /// What the results of one message may hold.
    pub results: u64,
    /// Older results over this become previews.
    pub preview: u64,
    /// A compaction that gains less is not made.
    pub min_gain: u64,
    /// What a summary may hold, the program's part and the person's words included.
    pub summary: u64,
    /// Tokens of the model for a thousand of ours, by which texts are weighed that are to fit into these figures.
    pub per_mille: u64,
}

impl Budget {
    /// Every figure of the settings, capped by its share of the limit (recent 40%, results of one message 25%, a preview 10%).
    #[must_use]
    pub fn new(limit: u64, settings: &CompactionSettings) -> Self {
        let soft = share(limit, settings.soft);
        Self::beside(limit, settings, FIXED.min(soft / 2))
    }

    /// The same, where it is known how many tokens every request begins with. Beside those, a note and recent entries that
    /// fill their budgets stay below the soft mark, or one compaction would call for the next: the summary gets 12% of the limit,
    /// at most 32,000 tokens and at most two fifths of the room that there is; recent entries get the rest of the room at most.
    #[must_use]
    pub fn beside(limit: u64, settings: &CompactionSettings, fixed: u64) -> Self {
        let soft = share(limit, settings.soft);
        // A twentieth stays free for what is said next. Where nothing is left of the room, an eighth of the limit has to do.
        let room = (soft - soft / 20).saturating_sub(fixed).max(limit / 8);
        let summary = (limit / 25 * 3).min(SUMMARY).min(room / 5 * 2);
        Self {
            limit,
            soft,
            hard: share(limit, settings.hard).max(soft),
            recent: settings.keep_recent_tokens.min(limit / 5 * 2).min(room - summary),
            results: limit / 4,
            preview: settings.tool_result_preview_tokens.min(limit / 10),
            min_gain: settings.min_gain_tokens.min(limit / 4),
            summary,
            per_mille: ONE,
        }
    }

    /// What a request may come to by estimate when nothing better can be done: a fifth of the room above the hard mark stays for
    /// what the estimate may be wrong by.
    #[must_use]
    pub fn bearable(&self) -> u64 {
        self.hard + (self.limit - self.hard) / 5 * 4
    }

    /// The same for texts of a window: what was learned there of how its model counts holds for what is written about it.
    #[must_use]
    pub fn measured_by(self, window: &Window) -> Self {
        Self { per_mille: window.accounting().calibrated(ONE).max(1), ..self }
    }

    /// An estimate in the model's tokens.
    pub(super) fn calibrated(&self, estimate: u64) -> u64 {
        estimate.saturating_mul(self.per_mille) / ONE
    }

    /// The estimate of a text that makes so many of the model's tokens.
    pub(super) fn estimated(&self, tokens: u64) -> u64 {
        tokens.saturating_mul(ONE) / self.per_mille.max(1)
    }

    /// What of the summary a model may write.
    pub(super) fn told(&self) -> u64 {
        self.summary.min(TOLD)
    }

    /// What the note may hold of the request under way, beside `summary`: a run that goes on without its task is worth nothing.
    pub(super) fn request(&self) -> u64 {
        self.recent / 2
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of it"
)]
fn share(limit: u64, of: f64) -> u64 {
    (limit as f64 * of.clamp(0.0, 1.0)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Item;
    use crate::protocol::Usage;

    #[test]
    fn every_figure_is_capped_by_its_share() {
        let large = Budget::new(200_000, &CompactionSettings::default());
        assert_eq!((large.soft, large.hard, large.recent, large.results), (120_000, 170_000, 12_000, 50_000));
        assert_eq!((large.preview, large.min_gain, large.summary), (2048, 1024, 24_000));
        let greedy = CompactionSettings {
            keep_recent_tokens: 1 << 40,
            tool_result_preview_tokens: 1 << 40,
            ..Default::default()
        };
        let capped = Budget::new(100_000, &greedy);
        assert_eq!((capped.recent, capped.preview), (40_000, 10_000));
    }

    #[test]
    fn a_full_note_and_full_recent_entries_stay_below_the_soft_mark() {
        let settings = CompactionSettings::default();
        for limit in [8_000, 10_000, 16_000, 24_000, 32_768, 64_000, 128_000, 200_000, 1_000_000] {
            for fixed in [500, 1_500, 2_500, 4_000] {
                let budget = Budget::beside(limit, &settings, fixed);
                let after = fixed + budget.summary + budget.recent;
                assert!(after < budget.soft || fixed + limit / 8 > budget.soft, "{after} of {budget:?} beside {fixed}");
                assert!(budget.recent / 4 < budget.summary, "the person's words fit into the note: {budget:?}");
            }
            let budget = Budget::new(limit, &settings);
            assert!(2_500 + budget.summary + budget.recent < budget.soft, "{budget:?}");
        }
    }

    #[test]
    fn c17_what_is_written_about_a_window_is_weighed_as_its_model_counts() {
        for (of, per_mille) in [(3, 600), (5, 1_000), (12, 2_400)] {
            let mut window = Window::default();
            let budget = Budget::new(32_000, &CompactionSettings::default());
            assert_eq!(budget.measured_by(&window), budget);
            window.push(Item::asked("a word ".repeat(2_000), None).into());
            let sent = window.used(None).used * of / 5;
            window.measure(&Usage { input: Some(sent), ..Usage::default() });
            let budget = budget.measured_by(&window);
            assert!(budget.per_mille.abs_diff(per_mille) <= 2, "{}", budget.per_mille);
            assert!(budget.calibrated(budget.estimated(1_000)).abs_diff(1_000) <= 3);
        }
    }

    #[test]
    fn a_tiny_model_has_a_budget_too() {
        for limit in [0, 1, 10, 100, 1_000, 4_000] {
            for fixed in [0, 1_000, 10_000] {
                let budget = Budget::beside(limit, &CompactionSettings::default(), fixed);
                assert!(budget.soft <= budget.hard && budget.hard <= limit, "{budget:?}");
                assert!(budget.recent + budget.summary <= limit, "{budget:?}");
            }
        }
    }
}
