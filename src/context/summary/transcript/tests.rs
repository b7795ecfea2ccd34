use proptest::prelude::*;

use super::*;

fn said(text: &str) -> Arc<Item> {
    Arc::new(Item::asked(text, None))
}

fn tokens_of(shown: &[String]) -> u64 {
    shown.iter().map(|text| tokens::of_text(text)).sum()
}

/// Entries that are neither shown nor counted by a marker.
fn untold(shown: &[String]) -> i64 {
    let text = shown.concat();
    let counted = text.lines().filter_map(|line| line.strip_prefix("[… ")?.split_once(" entr")?.0.parse::<i64>().ok());
    let left_out = shown.iter().filter(|text| !text.contains("<cowrite-")).count();
    i64::try_from(left_out).unwrap() - counted.sum::<i64>()
}

#[test]
fn c16_however_many_entries_there_are_the_ends_stay_and_the_rest_is_counted() {
    let items: Vec<Arc<Item>> = (0..2_000).map(|n| said(&format!("entry {n}: {}", "more of it ".repeat(40)))).collect();
    let all = pieces(&items);
    for room in [100, 300, 1_000, 4_000, 20_000] {
        let shown = within(&all, room);
        assert!(tokens_of(&shown) <= room, "{} of {room}", tokens_of(&shown));
        assert!(shown[0].contains("entry 0"), "{room}: {}", shown[0]);
        assert!(shown[1_999].contains("entry 1999"), "{room}: {}", shown[1_999]);
        assert_eq!(untold(&shown), 0, "{room}");
    }
    // There is more of it where there is more room, and more of the newest.
    let count = |room| within(&all, room).iter().filter(|text| text.contains("<cowrite-")).count();
    assert!(count(4_000) > 30 && count(20_000) > count(4_000), "{} and {}", count(4_000), count(20_000));
}

#[test]
fn c16_a_piece_larger_than_everything_is_shortened_and_pushes_none_out() {
    let huge = |name: &str| said(&format!("{name} {} {name} ends", "and so on ".repeat(30_000)));
    for items in [
        vec![huge("first"), said("second"), said("third")],
        vec![said("first"), huge("second"), said("third")],
        vec![said("first"), said("second"), huge("third")],
        vec![huge("first"), huge("second"), huge("third")],
        vec![huge("first third")],
    ] {
        for room in [160, 400, 2_000] {
            let shown = within(&pieces(&items), room);
            assert!(tokens_of(&shown) <= room, "{} of {room}", tokens_of(&shown));
            let text = shown.concat();
            assert!(text.contains("first") && text.contains("third"), "{room}: {text}");
            assert!(text.contains("left out …]"), "{room}: {text}");
            assert_eq!(untold(&shown), 0, "{room}: {text}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn c16_a_transcript_fits_its_room_and_says_what_it_lacks(
        sizes in prop::collection::vec(prop_oneof![6 => 0usize..30, 2 => 30usize..400, 1 => 400usize..4_000], 1..60),
        room in 0u64..6_000,
    ) {
        let items: Vec<Arc<Item>> = sizes.iter().map(|size| said(&"word ".repeat(*size))).collect();
        let shown = within(&pieces(&items), room);
        prop_assert_eq!(shown.len(), items.len());
        prop_assert!(tokens_of(&shown) <= room, "{} of {}", tokens_of(&shown), room);
        if room >= 120 {
            prop_assert!(shown[0].contains("<cowrite-person>") && shown[items.len() - 1].contains("<cowrite-person>"));
            prop_assert_eq!(untold(&shown), 0);
        }
    }
}
