//! Direct HTTPS beside the front.

use std::{fs::File, io::BufReader, path::Path, sync::Arc};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use switchboard_fleet::config::Https;

/// Reads certificate and key.
///
/// # Errors
/// One line that names the file.
pub(crate) fn server_config(https: &Https) -> Result<Arc<ServerConfig>, String> {
    let said = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let open = |path: &Path| File::open(path).map(BufReader::new).map_err(|error| said(path, &error));
    let chain = CertificateDer::pem_reader_iter(open(&https.certificate)?).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| said(&https.certificate, &error))?;
    if chain.is_empty() {
        return Err(said(&https.certificate, &"no certificate in this file"));
    }
    let key = PrivateKeyDer::from_pem_reader(open(&https.key)?).map_err(|error| said(&https.key, &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| said(&https.key, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
