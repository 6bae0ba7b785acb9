//! Configuration and switches in, the text of `nginx.conf` out.
//!
//! A path that ends in `/PORT` goes to that instance, everything else round robin; paths are passed on as they came.
//! With the module (`Site::module`) one upstream does both, and instances come and go in it without a reload; without
//! it there is an upstream for each port, and maps that choose among them.

mod loops;
mod module;
mod routing;

use std::{collections::BTreeSet, ffi::OsString, fmt::Write, path::Path, time::Duration};

use switchboard_fleet::config::{Config, Methods};

pub use module::UPSTREAM;
pub use routing::backend;
use routing::{REFUSALS, Routing};

use crate::{Site, Switches};

/// How much longer nginx waits than the instance behind it, which shall be the one to answer.
const GRACE: Duration = Duration::from_secs(15);
/// nginx's own limit for the head of an answer, which carries the other side's headers, is this many times that
/// for a request's.
const ANSWER_HEAD_TIMES: usize = 2;
/// The page of memory to which nginx's buffers are rounded.
const PAGE: usize = 4096;
/// Connections of nginx besides those that carry requests: listening, control, files.
const SPARE_FILES: usize = 128;

/// The errors that nginx gives itself, and what it says of them: status, nginx's code for it, reason.
const ERRORS: [(u16, &str, &str); 12] = [
    (400, "400", "malformed request"),
    (404, "404", "no such path here"),
    (405, "405", "method not allowed"),
    (408, "408", "the request came too slowly"),
    (413, "413", "body over limits.body_bytes"),
    (414, "414", "request line over limits.header_bytes"),
    (429, "429", "too many requests at a time from this address"),
    (431, "494", "head over limits.header_bytes"),
    (501, "501", "transfer coding not supported"),
    (502, "500 502 503", "$unanswered"),
    (504, "504", "the instance did not answer in time"),
    (505, "505", "HTTP/1.1 is spoken here"),
];
/// Between these lines of the text stands what follows from instances and switches.
pub(crate) const BACKENDS: &str = "    # backends\n";
pub(crate) const BACKENDS_END: &str = "    # end of backends\n";

/// The text of `nginx.conf`. `generation` is what the control socket answers once this text is in force.
pub fn render(config: &Config, switches: &Switches, site: &Site, generation: u64) -> String {
    let ports: BTreeSet<u16> = config.instances.iter().copied().collect();
    let routing = match &site.module {
        Some(_) => module::routing(config, switches, &ports),
        None => routing::stock(config, switches, &ports),
    };
    let mut text = format!(
        "# Rendered by `switchboard front apply`: changes made here are lost. generation {generation}\n"
    );
    text += &process(config, site);
    text += "http {\n";
    text += &http(config, site);
    text += BACKENDS;
    text += &routing.text;
    text += BACKENDS_END;
    text += &routing::maps();
    text += &loops::map(config);
    text += &public_server(config, site, &routing);
    text += &control_server(config, site, generation);
    text += "}\n";
    text
}

fn process(config: &Config, site: &Site) -> String {
    // A proxied request takes two connections: the caller's and the instance's.
    let wanted = config.limits.connections.saturating_mul(2).saturating_add(SPARE_FILES);
    let connections = wanted.min(site.open_files.saturating_sub(SPARE_FILES)).max(SPARE_FILES);
    let load = site.module.iter().map(|path| format!("load_module {};\n", quoted(path))).collect::<String>();
    format!(
        "{load}worker_processes {};
worker_rlimit_nofile {};
pid {};
# Lesser messages quote what callers send, unescaped.
error_log {} emerg;
events {{
    worker_connections {connections};
}}
",
        site.workers,
        site.open_files,
        quoted(&site.pid_file()),
        quoted(&site.error_log()),
    )
}

fn http(config: &Config, site: &Site) -> String {
    let (limits, timeouts) = (&config.limits, &config.timeouts);
    let head = head_bytes(config);
    let buffer = buffer_bytes(config);
    let (idle, stall) = (ms(timeouts.idle.get()), ms(timeouts.stall.get()));
    let mut text = format!(
        "    access_log off;
    server_tokens off;
    default_type \"\";
    tcp_nodelay on;
    reset_timedout_connection on;
    # An early answer reaches a caller that is still sending.
    lingering_close on;
    merge_slashes off;
    underscores_in_headers on;
    ignore_invalid_headers off;
    large_client_header_buffers 2 {head};
    client_header_timeout {};
    client_body_timeout {stall};
    send_timeout {stall};
    keepalive_timeout {idle};
    keepalive_requests 10000;
    # 0 would mean no limit.
    client_max_body_size {};
    client_body_buffer_size {buffer};
    # Requests under way of one address: the instances take every call of the front's for the front's own.
    limit_conn_zone $binary_remote_addr zone=addresses:10m;
    limit_conn_status 429;
    limit_conn_log_level info;
    map_hash_max_size 65536;
    map_hash_bucket_size 128;
",
        ms(timeouts.head.get()),
        limits.body_bytes.clamp(1, i64::MAX as u64),
    );
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        let _ = writeln!(text, "    {kind}_temp_path {};", quoted(&site.dir.join("temp").join(kind)));
    }
    text
}

fn public_server(config: &Config, site: &Site, routing: &Routing) -> String {
    let mut text = String::from("    server {\n");
    if config.limits.connections_per_address > 0 {
        let _ = writeln!(text, "        limit_conn addresses {};", config.limits.connections_per_address);
    }
    let tls = if config.front.tls.is_some() { " ssl http2" } else { "" };
    for address in &config.front.listen {
        let _ = writeln!(text, "        listen {address}{tls} backlog=4096 so_keepalive=60s:10s:6;");
    }
    if let Some(tls) = &config.front.tls {
        let _ = writeln!(
            text,
            "        ssl_certificate {};
        ssl_certificate_key {};
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache shared:tls:8m;
        error_page 495 496 497 = /.front/400;",
            quoted(&site.base.join(&tls.certificate)),
            quoted(&site.base.join(&tls.key)),
        );
    }
    text += &proxy(config, routing);
    for (status, codes, reason) in ERRORS {
        let _ = writeln!(text, "        error_page {codes} = /.front/{status};");
        text += &answer(&status.to_string(), status, reason);
    }
    for (name, status, reason) in REFUSALS.into_iter().chain([loops::REFUSAL]) {
        text += &answer(name, status, reason);
    }
    text += "    }\n";
    text
}

fn proxy(config: &Config, Routing { refusal, backend, .. }: &Routing) -> String {
    let timeouts = &config.timeouts;
    let buffer = buffer_bytes(config);
    let longest = timeouts.agent.max(timeouts.no_reply).max(timeouts.client).max(timeouts.stall);
    let patience = ms(longest.get() + GRACE);
    let retry = retry(config);
    format!(
        "        # For loopback only: what an instance shows about itself.
        location ~ \"^/+(?:status|metrics)(?:/|\\z)\" {{
            return 404;
        }}
        location / {{
            if ($is_loop) {{
                rewrite ^ /.front/$is_loop last;
            }}
            if ({refusal}) {{
                rewrite ^ /.front/{refusal} last;
            }}
            proxy_pass http://{backend};
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_buffering off;
            proxy_buffer_size {buffer};
            proxy_buffers 4 {buffer};
            proxy_busy_buffers_size {buffer};
            proxy_max_temp_file_size 0;
            proxy_connect_timeout 5s;
            proxy_send_timeout {patience};
            proxy_read_timeout {patience};
{retry}            proxy_set_header Connection \"\";
            proxy_set_header Host $http_host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header Via $via;
            # Headers of an answer come from the other side of a transaction: they steer nothing here.
            proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset;
            proxy_redirect off;
            proxy_pass_header Date;
            proxy_pass_header Server;
            proxy_pass_header X-Pad;
            proxy_pass_header X-Accel-Redirect;
            proxy_pass_header X-Accel-Expires;
            proxy_pass_header X-Accel-Limit-Rate;
            proxy_pass_header X-Accel-Buffering;
            proxy_pass_header X-Accel-Charset;
        }}
"
    )
}

/// When another instance is tried. nginx itself never repeats a request of which anything was sent if its body is passed on as it
/// arrives, as here, unless all of it came with the head; `non_idempotent` lets it do so with such a POST too.
fn retry(config: &Config) -> String {
    let retry = &config.front.retry;
    let mut on = retry.on.join(" ");
    if on.is_empty() {
        on = "off".into();
    } else if retry.methods == Methods::All {
        on += " non_idempotent";
    }
    format!(
        "            proxy_next_upstream {on};
            proxy_next_upstream_tries {};
            proxy_next_upstream_timeout {}ms;
",
        retry.tries,
        retry.within.get().as_millis(),
    )
}

/// A place that only nginx itself goes to, for an empty answer with its reason. To nginx a literal `""` would be
/// no answer at all, and lead back to `error_page`.
fn answer(name: &str, status: u16, reason: &str) -> String {
    // Empty, and so left out, unless it is sure that no instance got anything of the request.
    let retry = match (status, name) {
        (502, _) => "\n            add_header X-IWP-Retry $unreached always;",
        // An agent there goes elsewhere when its poll ends.
        (503, _) => "\n            add_header X-IWP-Retry 1 always;",
        _ => "",
    };
    format!(
        "        location = /.front/{name} {{
            internal;
            add_header X-IWP-Reason \"{reason}\" always;{retry}
            return {status} $nothing;
        }}
"
    )
}

fn control_server(config: &Config, site: &Site, generation: u64) -> String {
    let mut listen = OsString::from("unix:");
    listen.push(site.control(config));
    let backends = if site.module.is_some() { module::STATUS } else { "" };
    format!(
        "    server {{
        listen {};
        location = /generation {{
            return 200 \"{generation}\\n\";
        }}
{backends}        location / {{
            return 404;
        }}
    }}
",
        quoted(Path::new(&listen)),
    )
}

/// The longest head that nginx takes from a caller; it wants more than 512 bytes itself.
fn head_bytes(config: &Config) -> usize {
    config.limits.header_bytes.max(1024)
}

/// nginx's buffer for one direction of one request; an answer's whole head must fit.
fn buffer_bytes(config: &Config) -> usize {
    config.limits.buffer_bytes.max(head_bytes(config) * ANSWER_HEAD_TIMES).next_multiple_of(PAGE)
}

/// A path as one word of the configuration. [`Site::of`] has refused those that quoting cannot save.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A time as nginx reads it; 0 would switch a timeout off.
fn ms(time: Duration) -> String {
    format!("{}ms", time.as_millis().max(1))
}
