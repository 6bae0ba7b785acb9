//! TLS, with certificates that are checked.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use switchboard_range::{PgStore, StoreError};

use crate::{
    DEADLINE, filled, range,
    server::{OWNER, PASSWORD, Server},
};

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

#[tokio::test]
async fn tls_is_checked() {
    let ours = authority();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &ours).unwrap();
    let server = Server::start_with_tls(&certificate.pem(), &key.serialize_pem());
    filled(&server, "ids", range(1, 100)).await;
    std::fs::write(server.path("ours.pem"), ours.pem()).unwrap();
    std::fs::write(server.path("theirs.pem"), authority().pem()).unwrap();
    let take = async |host: &str, options: &str| {
        let port = server.port.unwrap();
        let url = format!("postgres://{OWNER}:{PASSWORD}@{host}:{port}/ids?{options}");
        PgStore::new(&url, DEADLINE).unwrap().take(1).await
    };
    let roots = |name: &str| format!("sslmode=verify-full&sslrootcert={}", server.path(name).display());
    assert_eq!(take("localhost", &roots("ours.pem")).await, Ok(Some(range(1, 1))));
    let stranger = take("localhost", &roots("theirs.pem")).await.unwrap_err();
    assert!(matches!(stranger, StoreError::Unreachable { .. }), "{stranger}");
    assert!(stranger.to_string().contains("certificate"), "{stranger}");
    let misnamed = take("127.0.0.1", &roots("ours.pem")).await.unwrap_err();
    assert!(misnamed.to_string().contains("certificate"), "{misnamed}");
    // So it was TLS that got in.
    let plain = take("localhost", "sslmode=disable").await.unwrap_err();
    assert!(matches!(plain, StoreError::Denied { .. }), "{plain}");
}
