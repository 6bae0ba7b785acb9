use super::*;

fn worker(name: &str, kind: WorkerKind, health: Health) -> Worker {
    Worker {
        name: name.into(),
        kind,
        health,
        heard_ms: (health != Health::NeverHeard).then_some(1),
        stopping_ms: None,
        cpu: None,
        state: None,
        taken: 0,
        missing: 0,
        silenced_until_ms: None,
    }
}

/// Two servers with the instances' healths given, and a front.
fn servers(eu: &[Health], us: &[Health], front: Health) -> Vec<Server> {
    let instances = |server: &str, healths: &[Health]| -> Vec<Worker> {
        let named = healths.iter().enumerate();
        named
            .map(|(at, health)| worker(&format!("{server}/{}", 8081 + at), WorkerKind::Instance, *health))
            .collect()
    };
    let mut first = instances("eu", eu);
    first.push(worker("eu/front", WorkerKind::Front, front));
    let mut servers = vec![Server { name: "eu".into(), workers: first }];
    if !us.is_empty() {
        servers.push(Server { name: "us".into(), workers: instances("us", us) });
    }
    servers
}

fn said(servers: &[Server]) -> String {
    Summary::of(servers).sentences.join(" ")
}

#[test]
fn sentences() {
    use Health::{Down, NeverHeard, Overloaded, Silent, Stopped, Up};
    let table: [(&[Health], &[Health], Health, &str); 10] = [
        (&[Up, Up], &[Up, Up], Up, "All 4 instances of 2 servers are up."),
        (&[Up, Up], &[], Up, "All 2 instances are up."),
        (&[Up], &[], Up, "The one instance is up."),
        (&[Down], &[], Up, "The one instance is down: eu/8081."),
        (&[Down, Up], &[Down, Up], Up, "2 of 4 instances are down: eu/8081 and us/8081."),
        (
            &[Down, Silent],
            &[Up, Stopped],
            Down,
            "1 of 4 instances is down: eu/8081. eu/front is down. 1 of 4 instances is silent: eu/8082. 1 of 4 instances was stopped: us/8082.",
        ),
        (&[Up, Overloaded], &[], Up, "All 2 instances are up. 1 of 2 instances is overloaded: eu/8082."),
        (&[Down; 6], &[Up], Up, "6 of 7 instances are down: eu/8081, eu/8082, eu/8083, eu/8084 and 2 more."),
        (&[Down; 3], &[], Up, "All 3 instances are down."),
        (&[NeverHeard; 2], &[], NeverHeard, "Nobody has reported yet."),
    ];
    for (eu, us, front, expected) in table {
        assert_eq!(said(&servers(eu, us, front)), expected);
    }
    assert_eq!(said(&[]), "Nobody has reported yet.");
}

#[test]
fn the_worst_gives_the_look() {
    use Health::{Down, Overloaded, Up};
    assert_eq!(Summary::of(&servers(&[Up, Up], &[], Up)).worst, Up);
    assert_eq!(Summary::of(&servers(&[Up, Overloaded], &[], Up)).worst, Overloaded);
    assert_eq!(Summary::of(&servers(&[Overloaded, Up], &[], Down)).worst, Down);
    assert_eq!(Summary::of(&servers(&[Up, Down], &[], Up)).short, "1 of 2 up");
}
