//! Values in the query of a URL (RFC 3986, 3.4).

/// Writes a text as a value: all but the unreserved characters (RFC 3986, 2.3) as `%` and two digits.
pub fn value(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_a_query_is_escaped() {
        assert_eq!(value("a-Z_0.~"), "a-Z_0.~");
        assert_eq!(value("1 2&é"), "1%202%26%C3%A9");
    }
}
