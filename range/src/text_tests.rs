use super::*;
use proptest::prelude::*;

const PLACE: &str = "eu.example.net/8081";

fn held(ranges: &[(u64, u64)]) -> Holdings {
    let mut holdings = Holdings::default();
    for (first, last) in ranges {
        holdings.add(IdRange::from_numbers(*first, *last).unwrap()).unwrap();
    }
    holdings
}

fn instance() -> Record {
    Record {
        generation: 17,
        known: format!("1 912 26019362 80000000 {PLACE}").parse().ok(),
        holdings: held(&[(26_018_363, 26_019_362), (7, 9)]),
        ..Record::empty(Kind::Instance)
    }
}

fn master() -> Record {
    Record {
        generation: 912,
        epoch: 2,
        whole: IdRange::from_numbers(26_018_363, 80_000_000),
        holdings: held(&[(26_019_363, 80_000_000)]),
        moved: Some(Moved { to: PLACE.parse().unwrap(), epoch: 3, pending: true }),
        ..Record::empty(Kind::Master)
    }
}

#[test]
fn a_ledger_survives_its_text() {
    let text = encode(&instance());
    let said = "switchboard-ledger v2 instance\ngeneration 17\nmaster 1 912 26019362 80000000 eu.example.net/8081\n26018363 26019362\n7 9\nsha256 ";
    assert!(text.starts_with(said), "{text}");
    assert_eq!(decode(&text), Ok(instance()));
    let text = encode(&master());
    let said = "switchboard-ledger v2 master\ngeneration 912\nepoch 2\nwhole 26018363 80000000\n26019363 80000000\nmoved 3 eu.example.net/8081 pending\nsha256 ";
    assert!(text.starts_with(said), "{text}");
    assert_eq!(decode(&text), Ok(master()));
    let done = Record {
        holdings: Holdings::default(),
        moved: master().moved.map(|moved| Moved { pending: false, ..moved }),
        ..master()
    };
    assert_eq!(decode(&encode(&done)), Ok(done));
    let empty = Record::empty(Kind::Instance);
    assert_eq!(decode(&encode(&empty)), Ok(empty));
}

#[test]
fn a_cut_or_changed_text_is_refused() {
    for text in [encode(&instance()), encode(&master())] {
        for end in 0..text.len() {
            assert!(decode(&text[..end]).is_err(), "cut at {end}");
        }
        for at in 0..text.len() {
            for bit in 0..7 {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                assert!(decode(&String::from_utf8(bytes).unwrap()).is_err(), "byte {at}, bit {bit}");
            }
        }
        assert!(decode(&format!("{text}\n")).is_err());
        assert!(decode(&format!("{text}{text}")).is_err());
    }
}

#[test]
fn what_is_no_ledger_even_with_a_checksum() {
    for body in [
        "switchboard-ledger v3 master\ngeneration 1\nepoch 1\nwhole 1 2\n",
        "switchboard-ledger v2 sailor\ngeneration 1\n",
        "switchboard-ledger v2 instance\n",
        "switchboard-ledger v2 instance\ngeneration 4611686018427387905\n",
        "switchboard-ledger v2 instance\ngeneration +1\n",
        "switchboard-ledger v2 instance\ngeneration 1\nepoch 1\n",
        "switchboard-ledger v2 instance\ngeneration 1\nmaster 1\n",
        "switchboard-ledger v2 instance\ngeneration 1\n5 6\n6 7\n",
        "switchboard-ledger v2 instance\ngeneration 1\n5 6 7\n",
        "switchboard-ledger v2 instance\ngeneration 1\n\n",
        "switchboard-ledger v2 instance\ngeneration 1\nmoved 2 a/1 done\n",
        "switchboard-ledger v2 master\ngeneration 1\nepoch 1\n",
        "switchboard-ledger v2 master\ngeneration 1\nwhole 1 2\n",
        "switchboard-ledger v2 master\ngeneration 1\nepoch 1\nwhole 2 1\n",
        "switchboard-ledger v2 master\ngeneration 1\nepoch 1\nwhole 1 2\nmoved 2 a/0 done\n",
        "switchboard-ledger v2 master\ngeneration 1\nepoch 1\nwhole 1 2\nmoved 2 a/1\n",
        "switchboard-ledger v2 master\ngeneration 1\nepoch 1\nwhole 1 2\nmoved 2 a/1 done\n1 2\n",
    ] {
        assert!(decode(&sealed(body.into())).is_err(), "{body}");
    }
}

#[test]
fn a_ledger_of_the_first_version() {
    let read = |body: &str| decode(&sealed(body.into())).unwrap();
    let record = read("switchboard-ledger v1 instance\ngeneration 3\n5 9\n2 2\n");
    let expected =
        Record { generation: 3, holdings: held(&[(5, 9), (2, 2)]), ..Record::empty(Kind::Instance) };
    assert_eq!(record, expected);
    let record = read("switchboard-ledger v1 master\ngeneration 3\n5 9\n");
    assert_eq!((record.epoch, record.whole), (1, IdRange::from_numbers(5, 9)));
    let used_up = read("switchboard-ledger v1 master\ngeneration 3\n");
    assert_eq!(used_up.whole, IdRange::from_numbers(1, u64::MAX), "no ID is known to be free");
}

#[test]
fn the_original_services_file() {
    let left = |text| decode(text).map(|record| (record.kind, record.holdings.left()));
    assert_eq!(left("26018363\n80000000\n"), Ok((None, 53_981_638)));
    assert_eq!(left("5\r\n5"), Ok((None, 1)));
    assert_eq!(left("6\n5\n"), Ok((None, 0)));
    assert_eq!(decode("6\n5\n").unwrap().whole, IdRange::from_numbers(5, 5), "where it ended");
    for text in ["5", "5\n", "5\n6\n7\n", "5 6\n", "0\n5\n", "5\n-6\n", "5\nx\n", "18446744073709551616\n1\n"]
    {
        assert!(left(text).is_err(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_reading_fail_badly(
        text in "(switchboard-ledger v[12] (master|instance)\n)?(generation |epoch |whole |moved |master |[0-9]{1,20}|[ \n/a]|\\PC)*",
        seal: bool,
    ) {
        let _ = decode(&if seal { sealed(text) } else { text });
    }
}
