use super::*;
use proptest::prelude::*;

fn range(a: u64, b: u64) -> IdRange {
    IdRange::from_numbers(a.min(b), a.max(b)).unwrap()
}

fn sample() -> Handover {
    let mut holdings = Holdings::default();
    holdings.add(range(26_019_363, 80_000_000)).unwrap();
    let to = "us.example.net/8081".parse().unwrap();
    Handover { epoch: 2, generation: 912, whole: range(26_018_363, 80_000_000), holdings, to }
}

proptest! {
    #[test]
    fn a_handover_survives_its_text(
        counts in [0..=text::COUNT_MAX, 0..=text::COUNT_MAX],
        a in 1u64..,
        b in 1u64..,
        held in proptest::collection::vec((any::<u64>(), any::<u64>()), 0..20),
        port in 1u16..,
    ) {
        let whole = range(a, b);
        let (first, last) = (whole.first().get(), whole.last().get());
        let mut holdings = Holdings::default();
        for (a, b) in held {
            let _ = holdings.add(range(a.clamp(first, last), b.clamp(first, last)));
        }
        let [epoch, generation] = counts;
        let to = InstanceName { server: "https://[::1]:8443".parse().unwrap(), port };
        let handover = Handover { epoch, generation, whole, holdings, to };
        prop_assert_eq!(Handover::decode(&handover.encode()), Ok(handover));
    }

    #[test]
    fn no_text_makes_reading_fail_badly(
        text in "(switchboard-handover v1\n)?(epoch |generation |whole |to |a/1|[0-9]{1,20}|[ \n]|\\PC)*",
        seal: bool,
    ) {
        let _ = Handover::decode(&if seal { text::sealed(text) } else { text });
    }
}

#[test]
fn the_most_ranges_fit() {
    let mut holdings = Holdings::default();
    for n in 0..Holdings::RANGES_MAX as u64 {
        holdings.add(range(u64::MAX - 2 * n, u64::MAX - 2 * n)).unwrap();
    }
    let to = format!("https://{}.example.net:65535/65535", "a".repeat(60)).parse().unwrap();
    let (epoch, generation) = (text::COUNT_MAX, text::COUNT_MAX);
    let handover = Handover { epoch, generation, whole: range(1, u64::MAX), holdings, to };
    assert_eq!(Handover::decode(&handover.encode()), Ok(handover));
}

#[test]
fn a_cut_or_changed_text_is_refused() {
    let text = sample().encode();
    for end in 0..text.len() {
        assert!(Handover::decode(&text[..end]).is_err(), "cut at {end}");
        let mut bytes = text.clone().into_bytes();
        bytes[end] ^= 1;
        assert!(Handover::decode(&String::from_utf8(bytes).unwrap()).is_err(), "byte {end}");
    }
    let long = format!("{}{}", "1 1\n".repeat(Handover::BYTES_MAX / 4), text);
    assert_eq!(Handover::decode(&long), Err("the text is too long"));
}

#[test]
fn what_is_no_handover_even_with_a_checksum() {
    let body = text::unsealed(&sample().encode()).unwrap().to_owned();
    assert_eq!(Handover::decode(&text::sealed(body.clone())), Ok(sample()));
    for (from, to) in [
        ("v1", "v2"),
        ("v1\n", "v1 \n"),
        ("epoch 2\n", ""),
        ("epoch 2", "epoch -2"),
        ("generation 912", "generation 4611686018427387905"),
        ("whole 26018363", "whole 26019364"),
        ("80000000\nto", "79999999\nto"),
        ("/8081", "/0"),
        ("26019363 80000000\n", "26019363\n"),
        ("26019363 80000000\n", "26019363 80000000\n26019363 80000000\n"),
        ("26019363 80000000\n", "moved\n"),
    ] {
        assert!(body.contains(from), "{from:?}");
        assert!(Handover::decode(&text::sealed(body.replacen(from, to, 1))).is_err(), "{from:?} as {to:?}");
    }
}
