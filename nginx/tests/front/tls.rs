//! TLS outside: what callers may speak there.

use std::{fs, process::Command};

use switchboard_fleet::config::FrontTls;

use crate::scene::Scene;

/// The version of HTTP that curl and the front agree on.
fn spoken(scene: &Scene, option: &str) -> String {
    let address = scene.config.front.listen[0];
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--insecure",
        option,
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_version} %{http_code}",
    ]);
    let output = curl.arg(format!("https://{address}/status")).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn http_1_and_2_are_spoken() {
    let folder = tempfile::tempdir().unwrap();
    let signed = rcgen::generate_simple_self_signed(["front.test".to_owned()]).unwrap();
    let tls = FrontTls { certificate: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
    fs::write(&tls.certificate, signed.cert.pem()).unwrap();
    fs::write(&tls.key, signed.signing_key.serialize_pem()).unwrap();
    let scene = Scene::new(1, |config| config.front.tls = Some(tls));
    assert_eq!(spoken(&scene, "--http1.1"), "1.1 404");
    assert_eq!(spoken(&scene, "--http2"), "2 404");
}
