//! The types of music files (RFC 6838) as phones, players and browsers know them.

/// Returns the type of a music file by its extension, without the dot and in any case (reference upnp 6.3); of a playlist its
/// own, of anything else that of bytes.
pub fn of_extension(extension: &str) -> &'static str {
    match extension.to_ascii_lowercase().as_str() {
        "flac" => "audio/flac",
        "mp3" => "audio/mpeg",
        "m4a" | "mp4" | "m4b" => "audio/mp4",
        "aac" => "audio/aac",
        "ogg" | "oga" | "opus" => "audio/ogg",
        "wav" => "audio/wav",
        "aiff" | "aif" => "audio/aiff",
        "wma" => "audio/x-ms-wma",
        "m3u8" => "application/vnd.apple.mpegurl",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_told_by_the_extension() {
        assert_eq!(
            ["FLAC", "m4a", "exe"].map(of_extension),
            ["audio/flac", "audio/mp4", "application/octet-stream"]
        );
    }
}
