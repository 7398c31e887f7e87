//! How schedules print and answer.

use super::{LevelSpec, Schedule, Through};

const fn level(
    name: &'static str,
    upper: &'static [usize],
    lower: &'static [usize],
    sweep: &'static [Through],
) -> LevelSpec {
    LevelSpec {
        name,
        module: "Net",
        batch: "Images",
        loss: "loss",
        condition: None,
        after_step: None,
        upper,
        lower,
        start: None,
        hyperparameters: &[],
        sweep,
    }
}

const fn through(level: usize, into: &'static [usize]) -> Through {
    Through { level, into }
}

const CHAIN: Schedule = Schedule {
    name: "Chain",
    levels: &[
        level("top", &[], &[1, 2], &[through(2, &[1]), through(1, &[0])]),
        level("middle", &[0], &[2], &[through(2, &[1])]),
        level("bottom", &[1], &[], &[]),
    ],
    roots: &[0],
};

const DIAMOND: Schedule = Schedule {
    name: "Diamond",
    levels: &[
        level("top", &[], &[1, 2, 3], &[through(3, &[1, 2]), through(2, &[0, 1]), through(1, &[0, 2])]),
        level("left", &[0], &[3], &[through(3, &[1])]),
        level("right", &[0], &[3], &[through(3, &[2])]),
        level("bottom", &[1, 2], &[], &[]),
    ],
    roots: &[0],
};

const TWO_UPPERS: Schedule = Schedule {
    name: "TwoUppers",
    levels: &[
        level("a", &[], &[2], &[through(2, &[0])]),
        level("b", &[], &[2], &[through(2, &[1])]),
        level("net", &[0, 1], &[], &[]),
    ],
    roots: &[0, 1],
};

const TWO_LOWERS: Schedule = Schedule {
    name: "TwoLowers",
    levels: &[
        level("top", &[], &[1, 2], &[through(2, &[0]), through(1, &[0])]),
        level("a", &[0], &[], &[]),
        level("b", &[0], &[], &[]),
    ],
    roots: &[0],
};

#[test]
fn levels_are_found_by_name() {
    assert_eq!(CHAIN.level("bottom"), Some(2));
    assert_eq!(CHAIN.level("nowhere"), None);
}

#[test]
fn only_passed_levels_need_a_method() {
    assert!(!CHAIN.is_passed(0));
    assert!(CHAIN.is_passed(1));
    assert!(CHAIN.is_passed(2));
}

#[test]
fn schedules_that_follow_from_their_edges() {
    for schedule in [CHAIN, DIAMOND, TWO_UPPERS, TWO_LOWERS] {
        assert_eq!(schedule.check(), Ok(()), "{}", schedule.name);
    }
    // Two levels that do not rest on each other may stand in any order, and so may the levels that cotangents go to.
    const SWEPT: [Through; 3] = [through(3, &[2, 1]), through(1, &[2, 0]), through(2, &[0, 1])];
    const LEVELS: [LevelSpec; 4] = [
        level("top", &[], &[1, 2, 3], &SWEPT),
        level("left", &[0], &[3], &[through(3, &[1])]),
        level("right", &[0], &[3], &[through(3, &[2])]),
        level("bottom", &[1, 2], &[], &[]),
    ];
    assert_eq!(Schedule { levels: &LEVELS, ..DIAMOND }.check(), Ok(()));
}

/// A chain of three whose levels are changed.
#[track_caller]
fn check_refused(levels: &'static [LevelSpec], roots: &'static [usize], text: &str) {
    let schedule = Schedule { name: "Chain", levels, roots };
    let error = schedule.check().expect_err("the schedule contradicts its edges");
    assert_eq!(error.to_string(), text);
}

#[test]
fn levels_are_there_and_have_names_of_their_own() {
    check_refused(&[], &[], "it has no level");
    check_refused(
        const { &[level("a", &[], &[], &[]), level("b", &[], &[], &[]), level("a", &[], &[], &[])] },
        &[0, 1, 2],
        "levels 0 and 2 are both named `a`; give one of them another name",
    );
}

#[test]
fn entries_are_other_levels() {
    check_refused(
        const { &[level("top", &[], &[1], &[]), level("net", &[2], &[], &[])] },
        &[0],
        "`upper` of level `net` names level 2, but the schedule has 2 levels, counted from 0",
    );
    check_refused(
        const { &[level("top", &[], &[1, 1], &[]), level("net", &[0], &[], &[])] },
        &[0],
        "`lower` of level `top` names `net`, which it names already; take the entry away",
    );
    check_refused(
        const { &[level("top", &[], &[0], &[])] },
        &[0],
        "`lower` of level `top` names `top`, which cannot depend on itself; take the entry away",
    );
    check_refused(
        const { &[level("a", &[], &[1], &[]), level("b", &[], &[0], &[])] },
        &[0],
        "these levels are each solved before the next, in a circle: a -> b -> a; what is read while it is still being solved \
         belongs in `upper`",
    );
}

#[test]
fn a_sweep_has_all_of_its_stops_in_order() {
    const MIDDLE: LevelSpec = level("middle", &[0], &[2], &[through(2, &[1])]);
    const BOTTOM: LevelSpec = level("bottom", &[1], &[], &[]);
    let text = |found: &str| {
        format!(
            "`sweep` of level `top` is [{found}], but its hypergradient passes through [bottom -> middle; middle -> top]; let \
             `multilevel!` write the schedule, or write that"
        )
    };
    const LACKS: [LevelSpec; 3] = [level("top", &[], &[1, 2], &[through(1, &[0])]), MIDDLE, BOTTOM];
    check_refused(&LACKS, &[0], &text("middle -> top"));
    const TURNED: [LevelSpec; 3] = [level("top", &[], &[1, 2], &[through(1, &[0]), through(2, &[1])]), MIDDLE, BOTTOM];
    check_refused(&TURNED, &[0], &text("middle -> top; bottom -> middle"));
    const ASTRAY: [LevelSpec; 3] = [level("top", &[], &[1, 2], &[through(2, &[0]), through(1, &[0])]), MIDDLE, BOTTOM];
    check_refused(&ASTRAY, &[0], &text("bottom -> top; middle -> top"));
    const NOWHERE: [LevelSpec; 3] = [level("top", &[], &[1, 2], &[through(2, &[7]), through(9, &[0])]), MIDDLE, BOTTOM];
    check_refused(&NOWHERE, &[0], &text("bottom -> ?; ? -> top"));
}

#[test]
fn roots_are_the_levels_that_nobody_waits_for() {
    check_refused(TWO_UPPERS.levels, &[0], "`roots` are [a], but nobody waits for [a, b]");
    check_refused(TWO_UPPERS.levels, &[0, 3], "`roots` are [a, ?], but nobody waits for [a, b]");
    assert_eq!(Schedule { roots: &[1, 0], ..TWO_UPPERS }.check(), Ok(()), "they may be stepped in any order");
}

/// Diamonds below each other have as many ways from top to bottom as 2 has powers.
#[test]
fn waiting_is_found_without_walking_every_way() {
    const DIAMONDS: usize = 60;
    let below = |number: usize| -> &'static [usize] {
        let (diamond, place) = (number / 3, number % 3);
        let next = 3 * (diamond + 1);
        match place {
            _ if diamond == DIAMONDS => &[],
            0 => Vec::leak(vec![number + 1, number + 2]),
            _ => Vec::leak(vec![next]),
        }
    };
    let levels: Vec<LevelSpec> = (0..=3 * DIAMONDS).map(|number| level("level", &[], below(number), &[])).collect();
    let schedule = Schedule { name: "Diamonds", levels: Vec::leak(levels), roots: &[0] };
    assert!(schedule.waits_for(0, 3 * DIAMONDS) && schedule.waits_for(1, 3) && !schedule.waits_for(1, 2));
    assert!(!schedule.waits_for(3 * DIAMONDS, 0) && !schedule.waits_for(0, 0));
}

#[test]
fn a_chain_prints_its_order_and_its_sweeps() {
    assert_eq!(
        CHAIN.to_string(),
        "Chain
  top: Net, minimizes loss(top, middle, bottom, Images)
  middle: Net, minimizes loss(middle, top, bottom, Images)
  bottom: Net, minimizes loss(bottom, middle, Images)
one iteration steps
  top, after
    middle, after
      bottom
    bottom
hypergradient of top
  bottom -> middle
  middle -> top
hypergradient of middle
  bottom -> middle
"
    );
}

#[test]
fn a_diamond_prints_both_sides() {
    let text = DIAMOND.to_string();
    let (_, order) = text.split_once("one iteration").expect("the order is printed");
    assert_eq!(
        order,
        " steps
  top, after
    left, after
      bottom
    right, after
      bottom
    bottom
hypergradient of top
  bottom -> left, right
  right -> top, left
  left -> top, right
hypergradient of left
  bottom -> left
hypergradient of right
  bottom -> right
"
    );
}

#[test]
fn every_root_is_printed() {
    let text = TWO_UPPERS.to_string();
    let (_, order) = text.split_once("one iteration").expect("the order is printed");
    assert_eq!(
        order,
        " steps
  a, after
    net
  b, after
    net
hypergradient of a
  net -> a
hypergradient of b
  net -> b
"
    );
}

#[test]
fn dot_shows_both_kinds_of_edges() {
    assert_eq!(
        TWO_LOWERS.to_dot(),
        "digraph TwoLowers {
    \"top\" [label=\"top\\nNet\"];
    \"a\" [label=\"a\\nNet\"];
    \"b\" [label=\"b\\nNet\"];
    \"top\" -> \"a\" [label=\"lower\"];
    \"top\" -> \"b\" [label=\"lower\"];
    \"a\" -> \"top\" [label=\"upper\", style=dashed];
    \"b\" -> \"top\" [label=\"upper\", style=dashed];
}
"
    );
}

#[test]
fn a_level_that_learns_numbers_is_shown() {
    const NET: LevelSpec = LevelSpec { hyperparameters: &[0], ..level("net", &[], &[], &[]) };
    const TUNED: Schedule =
        Schedule { name: "Tuned", levels: &[level("rates", &[], &[1], &[through(1, &[0])]), NET], roots: &[0] };
    assert!(TUNED.to_dot().contains("    \"net\" -> \"rates\" [label=\"optimizer\", style=dotted];\n"));
    assert!(TUNED.to_mermaid().contains("    L1 -.->|optimizer| L0\n"));
}

#[test]
fn mermaid_shows_both_kinds_of_edges() {
    assert_eq!(
        TWO_LOWERS.to_mermaid(),
        "flowchart TD
    L0[\"top: Net\"]
    L1[\"a: Net\"]
    L2[\"b: Net\"]
    L0 -->|lower| L1
    L0 -->|lower| L2
    L1 -.->|upper| L0
    L2 -.->|upper| L0
"
    );
}
