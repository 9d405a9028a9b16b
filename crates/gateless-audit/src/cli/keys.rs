//! New keys.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::Failed;
use crate::seal::SealKey;

/// Writes a new key that signs checkpoints.
pub(super) fn seal(file: &Path, out: &mut impl Write) -> Result<ExitCode, Failed> {
    let key = SealKey::random();
    write_new(file, key.to_pem().as_bytes())?;
    write!(out, "{}", key.public().to_pem())?;
    writeln!(out, "key id: {}", key.id())?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a new secret for pseudonyms.
pub(super) fn pseudonym(file: &Path, out: &mut impl Write) -> Result<ExitCode, Failed> {
    let mut secret = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *secret).map_err(|error| Failed::says(error.to_string()))?;
    let text = Zeroizing::new(STANDARD.encode(*secret));
    write_new(file, text.as_bytes())?;
    writeln!(
        out,
        "32 random bytes, in base64: the text itself is the secret"
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Nobody else can read it from the first moment on, and nothing is written over.
fn write_new(file: &Path, content: &[u8]) -> Result<(), Failed> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(file).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    written.map_err(|error| Failed::file(file, &error))
}
