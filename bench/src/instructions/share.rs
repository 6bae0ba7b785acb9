//! From functions to stages. Pure.
//!
//! What a function does belongs to its stage; what a function without one does, such as a map's, to the stages of its callers,
//! to each as much as it was called for. So every instruction is in one stage, the innermost one that asked for it, or in
//! the rest. For a function that calls others this is a share and no count: callgrind tells what each caller's calls cost, but not
//! which of them led where.

use super::{
    profile::{Function, Number, Profile},
    stages::{self, Stage},
};

/// Rounds in which shares go from callers to called: more than functions without a stage call each other in a row.
const ROUNDS: usize = 64;

/// A call, seen from whom it reaches.
struct Caller<'a> {
    number: Number,
    /// The source file in which it is.
    file: &'a str,
    cost: f64,
}

/// Instructions by stage, in the order of `stages`, and the rest as the last one.
pub(crate) fn by_stage(profile: &Profile, stages: &[Stage]) -> Vec<f64> {
    let shares = shares(profile, stages);
    let mut sums = vec![0.0; stages.len() + 1];
    for (function, share) in profile.functions.iter().zip(&shares) {
        for (file, cost) in &function.own {
            match stages::of(stages, None, file) {
                Some(stage) => sums[stage] += *cost as f64,
                None => add(&mut sums, share, *cost as f64),
            }
        }
    }
    sums
}

/// Of each function: how much of it is each stage's, and the rest's.
fn shares(profile: &Profile, stages: &[Stage]) -> Vec<Vec<f64>> {
    let own = |function: &Function| stages::of(stages, Some(&function.name), &function.file);
    let whole = |stage: Option<usize>| {
        let mut share = vec![0.0; stages.len() + 1];
        share[stage.unwrap_or(stages.len())] = 1.0;
        share
    };
    let callers = callers(profile);
    let mut shares: Vec<_> = profile.functions.iter().map(|function| whole(own(function))).collect();
    let shared: Vec<Number> = (0..shares.len())
        .filter(|number| own(&profile.functions[*number]).is_none() && !callers[*number].is_empty())
        .collect();
    for _ in 0..ROUNDS {
        for number in &shared {
            let mut share = vec![0.0; stages.len() + 1];
            for caller in &callers[*number] {
                match stages::of(stages, None, caller.file) {
                    Some(stage) => share[stage] += caller.cost,
                    None => add(&mut share, &shares[caller.number], caller.cost),
                }
            }
            let all: f64 = share.iter().sum();
            share.iter_mut().for_each(|part| *part /= all);
            shares[*number] = share;
        }
    }
    shares
}

/// Who calls each function, but itself.
fn callers(profile: &Profile) -> Vec<Vec<Caller<'_>>> {
    let mut callers: Vec<Vec<_>> = profile.functions.iter().map(|_| Vec::new()).collect();
    for (number, function) in profile.functions.iter().enumerate() {
        for ((file, called), cost) in &function.calls {
            if *called != number && *cost > 0 {
                callers[*called].push(Caller { number, file, cost: *cost as f64 });
            }
        }
    }
    callers
}

fn add(sums: &mut [f64], share: &[f64], cost: f64) {
    sums.iter_mut().zip(share).for_each(|(sum, part)| *sum += part * cost);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STAGES: &[Stage] =
        &[Stage { name: "one", patterns: &["one", "/one.rs"] }, Stage { name: "two", patterns: &["two"] }];

    /// A function's name, its own instructions, and whom it calls at what cost.
    type Known<'a> = (&'a str, u64, &'a [(&'a str, u64)]);

    fn text(functions: &[Known<'_>]) -> String {
        let mut text = String::new();
        for (name, own, calls) in functions {
            text += &format!("fl=/src/lib.rs\nfn={name}\n1 {own}\n");
            for (called, cost) in *calls {
                text += &format!("cfn={called}\ncalls=1 1\n1 {cost}\n");
            }
        }
        text
    }

    #[test]
    fn a_helper_belongs_to_whom_it_helps() {
        let text = text(&[
            ("main", 10, &[("one", 130), ("two", 60)]),
            ("one", 100, &[("copy", 30)]),
            ("two", 50, &[("copy", 10)]),
            ("copy", 40, &[]),
        ]);
        let sums = by_stage(&Profile::parse(&text).unwrap(), STAGES);
        assert_eq!(sums, [130.0, 60.0, 10.0]);
    }

    #[test]
    fn what_is_inlined_is_known_by_its_file() {
        let text = "fl=/src/lib.rs\nfn=two\n1 5\nfi=/src/one.rs\n1 7\ncfn=copy\ncalls=1 1\n1 3\nfl=/c\nfn=copy\n1 3\n";
        let sums = by_stage(&Profile::parse(text).unwrap(), STAGES);
        assert_eq!(sums, [10.0, 5.0, 0.0]);
    }

    proptest! {
        #[test]
        fn no_instruction_is_lost_or_counted_twice(
            own in prop::collection::vec(1u64..1000, 6),
            calls in prop::collection::vec((0usize..6, 0usize..6, 1u64..1000), 0..20),
        ) {
            let names = ["one", "two", "a", "b", "c", "d"];
            let mut text = String::new();
            for (n, own) in own.iter().enumerate() {
                text += &format!("fl=/src/lib.rs\nfn={}\n1 {own}\n", names[n]);
                for (_, called, cost) in calls.iter().filter(|(caller, ..)| *caller == n) {
                    text += &format!("cfn={}\ncalls=1 1\n1 {cost}\n", names[*called]);
                }
            }
            let profile = Profile::parse(&text).unwrap();
            let sum: f64 = by_stage(&profile, STAGES).iter().sum();
            prop_assert!((sum - profile.total() as f64).abs() < 1e-6 * sum);
        }
    }
}
