//! One uniform difference in indentation.

/// What makes a block's indentation in the file of the model's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shift {
    /// The file has this before it.
    Added(String),
    /// The model has this before it.
    Removed(String),
    /// Tabs on one side stand for spaces on the other.
    Tabs {
        /// How wide a tab is.
        size: usize,
        /// How many columns further right the file's block stands.
        by: isize,
        /// Whether the file is the one with tabs.
        tabs: bool,
    },
    /// Each step is another number of spaces.
    Scaled {
        /// The model's.
        from: usize,
        /// The file's.
        to: usize,
    },
}

const SIZES: [usize; 4] = [4, 8, 2, 3];

impl Shift {
    /// What explains all pairs of the file's and the model's indentation, if one thing does. `new` is the indentation that it
    /// will be applied to: of several explanations the one that leaves no odd spaces there is taken.
    pub(super) fn between(pairs: &[(&str, &str)], new: &[&str]) -> Option<Self> {
        let (file, model) = *pairs.first()?;
        if let Some(more) = file.strip_suffix(model)
            && pairs.iter().all(|(file, model)| file.strip_prefix(more) == Some(model))
        {
            return Some(Self::Added(more.to_owned()));
        }
        if let Some(more) = model.strip_suffix(file)
            && pairs.iter().all(|(file, model)| model.strip_prefix(more) == Some(file))
        {
            return Some(Self::Removed(more.to_owned()));
        }
        Self::tabs(pairs, new).or_else(|| Self::scaled(pairs))
    }

    fn tabs(pairs: &[(&str, &str)], new: &[&str]) -> Option<Self> {
        let tabs = pairs.iter().any(|(file, _)| file.contains('\t'));
        // One side has tabs alone, the other none; as many spaces as a tab is wide are no tabs.
        let side = |with: bool| pairs.iter().map(move |(file, model)| if with == tabs { *file } else { *model });
        if side(false).any(|indent| indent.contains('\t')) || !side(true).any(|indent| indent.contains('\t')) {
            return None;
        }
        let proper = |size| side(true).all(|indent| indent.trim_start_matches('\t').len() < size);
        let by = |size| {
            if !proper(size) {
                return None;
            }
            let by = |(file, model): &(&str, &str)| width(file, size).checked_signed_diff(width(model, size));
            let first = by(pairs.first()?)?;
            pairs.iter().all(|pair| by(pair) == Some(first)).then_some(first)
        };
        let shifts = SIZES.into_iter().filter_map(|size| by(size).map(|by| Self::Tabs { size, by, tabs }));
        shifts.min_by_key(|shift| {
            let Self::Tabs { size, by, .. } = shift else { return (false, false) };
            let odd = new.iter().any(|new| width(new, *size).saturating_add_signed(*by) % size != 0);
            (odd, *by != 0)
        })
    }

    fn scaled(pairs: &[(&str, &str)]) -> Option<Self> {
        if pairs.iter().any(|(file, model)| file.bytes().chain(model.bytes()).any(|byte| byte != b' ')) {
            return None;
        }
        let sizes = || [2, 3, 4, 8].into_iter();
        let ratios = sizes().flat_map(|from| sizes().map(move |to| (from, to)));
        let fits = |&(from, to): &(usize, usize)| {
            pairs.iter().all(|(file, model)| model.len() % from == 0 && file.len() * from == model.len() * to)
        };
        ratios.filter(|(from, to)| from != to).find(fits).map(|(from, to)| Self::Scaled { from, to })
    }

    /// The model's indentation as the file has it.
    pub(super) fn apply(&self, indent: &str) -> String {
        match self {
            Self::Added(more) => format!("{more}{indent}"),
            Self::Removed(more) => {
                let shared = indent.bytes().zip(more.bytes()).take_while(|(a, b)| a == b).count();
                indent[shared..].to_owned()
            }
            Self::Tabs { size, by, tabs } => {
                let columns = width(indent, *size).saturating_add_signed(*by);
                if *tabs { "\t".repeat(columns / size) + &" ".repeat(columns % size) } else { " ".repeat(columns) }
            }
            Self::Scaled { from, to } => {
                let columns = width(indent, *from);
                " ".repeat(columns / from * to + columns % from)
            }
        }
    }
}

/// How many columns white space takes.
fn width(indent: &str, tab: usize) -> usize {
    indent.bytes().fold(0, |columns, byte| if byte == b'\t' { (columns / tab + 1) * tab } else { columns + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pairs: &[(&str, &str)], indent: &str) -> Option<String> {
        Shift::between(pairs, &[indent]).map(|shift| shift.apply(indent))
    }

    #[test]
    fn a_prefix_is_added_or_taken_off() {
        assert_eq!(check(&[("    ", ""), ("      ", "  ")], "    ").as_deref(), Some("        "));
        assert_eq!(check(&[("", "\t"), ("\t", "\t\t")], "\t\t\t").as_deref(), Some("\t\t"));
        assert_eq!(check(&[("", "    ")], "  ").as_deref(), Some(""));
    }

    #[test]
    fn tabs_stand_for_spaces_of_one_width() {
        assert_eq!(check(&[("\t", "    "), ("\t\t", "        ")], "            ").as_deref(), Some("\t\t\t"));
        assert_eq!(check(&[("\t\t", "    ")], "      ").as_deref(), Some("\t\t\t"), "two spaces a step");
        assert_eq!(check(&[("\t", "        ")], "            ").as_deref(), Some("\t\t"), "four, one step too deep");
        assert_eq!(check(&[("    ", "\t"), ("        ", "\t\t")], "\t\t\t").as_deref(), Some("            "));
        assert_eq!(check(&[("\t  ", "      ")], "    ").as_deref(), Some("\t"));
    }

    #[test]
    fn steps_of_another_width() {
        assert_eq!(check(&[("  ", "    "), ("    ", "        ")], "            ").as_deref(), Some("      "));
    }

    #[test]
    fn what_is_not_uniform_has_no_explanation() {
        assert_eq!(check(&[("  ", ""), ("  ", "  ")], ""), None);
        assert_eq!(check(&[("\t", "    "), ("\t\t", "    ")], ""), None);
        assert_eq!(check(&[("    ", "\t"), ("    ", "  ")], ""), None);
        assert_eq!(check(&[("    ", "  "), ("  ", "    ")], ""), None);
    }
}
