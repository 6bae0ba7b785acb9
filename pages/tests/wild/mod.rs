//! Tables as nobody would make them.

use proptest::{collection::vec, option, prelude::*, sample::select};
use switchboard_fleet::front::{
    Answers, Backend, BackendState, Checked, Failed, Happened, Heat, Nginx, Panic, Place, Slots, Spread,
    Switched, Table, Times, Upstream,
};

fn text() -> impl Strategy<Value = String> + Clone {
    prop_oneof![any::<String>(), "[<>&\"'\\\\\u{0}-\u{1f}\u{fffe}\u{202e} ]{0,6}"]
}

fn spread() -> impl Strategy<Value = Spread> {
    (any::<u64>(), option::of(any::<f64>()), option::of(any::<u64>()), option::of(any::<u64>()))
        .prop_map(|(count, mean_ms, p50_ms, p99_ms)| Spread { count, mean_ms, p50_ms, p99_ms })
}

prop_compose! {
    fn backend()(
        (address, server, why) in (text(), text(), option::of(text())),
        (backup, counted) in any::<(bool, bool)>(),
        state in select(&BackendState::ALL[..]),
        (since_ms, until_ms, weight, share) in any::<(Option<u64>, Option<u64>, u32, u32)>(),
        (traffic, per_second, failed) in any::<(f64, f64, f64)>(),
        numbers in any::<[u64; 19]>(),
        classes in any::<[u64; 5]>(),
        (times, recent) in ((spread(), spread(), spread()), spread()),
        last_failure in option::of((any::<u64>(), text()).prop_map(|(at_ms, why)| Failed { at_ms, why })),
        check in option::of((any::<u64>(), any::<u64>(), option::of(text())).prop_map(|(at_ms, ms, fault)| Checked { at_ms, ms, fault })),
        switch in option::of((text(), text(), any::<u64>(), any::<Option<u64>>()).prop_map(|(who, why, at_ms, until_ms)| Switched { who, why, at_ms, until_ms })),
    ) -> Backend {
        let [requests, in_flight, client_closed, internal_error, bad_gateway, unavailable, gateway_timeout, connect_errors, connect_timeouts,
            read_timeouts, write_timeouts, no_answer, bad_answer, cut, stale, bytes_sent, bytes_received, fails, max_fails] = numbers;
        let times = Times { connect: times.0, header: times.1, response: times.2 };
        let answers = Answers { classes, client_closed, internal_error, bad_gateway, unavailable, gateway_timeout };
        Backend {
            address, server, backup, state, since_ms, why, until_ms, weight, share, traffic, per_second, failed, counted, requests, in_flight,
            answers, connect_errors, connect_timeouts, read_timeouts, write_timeouts, no_answer, bad_answer, cut, stale, bytes_sent,
            bytes_received, times, recent, fails, max_fails, fail_timeout_s: max_fails, connections: fails, last_failure, check, switch,
        }
    }
}

prop_compose! {
    fn upstream()(
        (name, at) in (text(), text()), (implicit, switchable, no_live) in any::<(bool, bool, u64)>(), backends in vec(backend(), 0..4),
    ) -> Upstream {
        Upstream { name, implicit, at, switchable, no_live, backends }
    }
}

fn happened() -> impl Strategy<Value = Happened> {
    let place = option::of((text(), text()).prop_map(|(upstream, backend)| Place { upstream, backend }));
    (any::<u64>(), place, text(), text(), option::of(text()))
        .prop_map(|(at_ms, place, what, why, who)| Happened { at_ms, place, what, why, who })
}

prop_compose! {
    /// Any table, with the response times of its first backend.
    pub(crate) fn table()(
        front in text(),
        (at_ms, version, pid, generation) in any::<(u64, u64, Option<u32>, Option<u64>)>(),
        module in option::of(text()),
        slots in option::of(any::<(usize, usize)>().prop_map(|(all, free)| Slots { all, free })),
        panic in option::of((any::<u64>(), text()).prop_map(|(since_ms, why)| Panic { since_ms, why })),
        wrong in vec(text(), 0..3),
        mut upstreams in vec(upstream(), 0..3),
        (until_ms, bounds_ms, columns) in (any::<u64>(), vec(any::<u64>(), 0..5), vec(vec(any::<u64>(), 0..7), 0..70)),
        happened in vec(happened(), 0..4),
    ) -> Table {
        let mut names = std::collections::HashSet::new();
        upstreams.retain(|upstream: &Upstream| names.insert(upstream.name.clone()));
        let first = upstreams.first().and_then(|upstream| {
            Some(Place { upstream: upstream.name.clone(), backend: upstream.backends.first()?.address.clone() })
        });
        let heat = first.map(|place| Heat { place, until_ms, bounds_ms, columns }).into_iter().collect();
        Table { front, at_ms, version, nginx: Nginx { pid, generation, module }, slots, panic, wrong, upstreams, heat, happened }
    }
}
