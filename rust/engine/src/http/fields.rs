//! Field names, values and lists (RFC 9110 sections 5.1, 5.5, 5.6): what is allowed in them, for both directions.
//! Not here: what a particular field means; see `framing`, `target` and `response`.

/// The characters of a token (RFC 9110 section 5.6.2).
const TOKEN: [bool; 256] = {
    let characters = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut table = [false; 256];
    let mut index = 0;
    while index < characters.len() {
        table[characters[index] as usize] = true;
        index += 1;
    }
    table
};

/// Whether `byte` may stand in a token.
#[must_use]
pub fn is_token_byte(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// Whether `text` is a token: a method, a field name. The empty text is none.
#[must_use]
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_token_byte(byte))
}

/// Whether `byte` may stand in a field value: visible characters, space, tab, and 0x80 to 0xFF.
#[must_use]
pub const fn is_value_byte(byte: u8) -> bool {
    (byte >= 0x20 && byte != 0x7F) || byte == b'\t'
}

/// Whether `text` holds no control character except tab, so that it can be a field value.
#[must_use]
pub fn is_value(text: &[u8]) -> bool {
    // A fold without early exit is turned into vector instructions; most values are short and good.
    text.iter().fold(true, |good, &byte| good & is_value_byte(byte))
}

/// `text` without spaces and tabs at its ends.
#[must_use]
pub fn trim(text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let start = text.iter().position(|byte| !blank(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    &text[start..end]
}

/// The members of a comma-separated list (RFC 9110 section 5.6.1), trimmed; empty members are skipped.
pub fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim).filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_what_the_rfc_says() {
        let allowed = (0..=255_u8).filter(|&byte| is_token_byte(byte)).count();
        assert_eq!(allowed, 26 + 26 + 10 + 15);
        assert!(is_token(b"X-Name_1~"));
        for bad in [&b""[..], b"a b", b"a:", b"a\r", b"\xc3\xa4", b"(a)", b"a/b", b"a\0"] {
            assert!(!is_token(bad), "{bad:?}");
        }
    }

    #[test]
    fn values_hold_no_controls() {
        assert!(is_value(b"a\tb \xff~"));
        for bad in 0..=255_u8 {
            let control = (bad < 0x20 && bad != b'\t') || bad == 0x7F;
            assert_eq!(is_value(&[b'a', bad]), !control, "{bad}");
        }
    }

    #[test]
    fn lists_are_split_and_trimmed() {
        let list: Vec<&[u8]> = members(b" a,, b\t,c ,").collect();
        assert_eq!(list, [b"a", b"b", b"c"]);
        assert_eq!(trim(b" \t "), b"");
    }
}
