//! How long is that? Durations as people write them: `45s`, `1h 30m`, `2d`.

mod unit;

pub use unit::Unit;

/// Why a text is not a duration.
#[derive(Debug, PartialEq, Eq)]
pub enum NotADuration {
    Empty,
    NumberExpected,
    UnitExpected,
    UnknownUnit(char),
}

/// The seconds that a text such as `1h 30m` stands for.
pub fn seconds(text: &str) -> Result<u64, NotADuration> {
    let mut total = 0;
    let mut digits = String::new();
    for letter in text.chars().filter(|letter| !letter.is_whitespace()) {
        if letter.is_ascii_digit() {
            digits.push(letter);
            continue;
        }
        let unit = Unit::from_letter(letter).ok_or(NotADuration::UnknownUnit(letter))?;
        let count: u64 = digits.parse().map_err(|_| NotADuration::NumberExpected)?;
        total = count * unit.seconds();
        digits.clear();
    }
    match (digits.is_empty(), text.trim().is_empty()) {
        (_, true) => Err(NotADuration::Empty),
        (false, _) => Err(NotADuration::UnitExpected),
        _ => Ok(total),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_unit_is_counted() {
        assert_eq!(seconds("45s"), Ok(45));
        assert_eq!(seconds("2d"), Ok(172_800));
    }

    #[test]
    fn several_units_add_up() {
        assert_eq!(seconds("1h 30m"), Ok(5_400));
    }

    #[test]
    fn what_is_no_duration_is_told() {
        assert_eq!(seconds(""), Err(NotADuration::Empty));
        assert_eq!(seconds("12"), Err(NotADuration::UnitExpected));
        assert_eq!(seconds("5x"), Err(NotADuration::UnknownUnit('x')));
    }
}
