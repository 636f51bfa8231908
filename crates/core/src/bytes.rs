//! Types over a fixed number of public bytes: topics, hashes, ids.
//!
//! Secrets do not belong here: these types show their bytes, copy them, and compare them in
//! variable time.

/// Defines a type over `[u8; N]` that is shown as `0x` and lower-case hex digits.
///
/// ```ignore
/// fixed_bytes! {
///     /// A topic: the first four bytes of the Keccak-256 of a name.
///     #[derive(Default)]
///     pub struct Topic([u8; 4]);
///     from_str(text) => TopicError(text.to_owned());
/// }
/// ```
///
/// The type is `Copy`, ordered by its bytes and hashable, and its one field is public. `Display`
/// writes `0x01020304` and honours width and alignment, `Debug` writes `Topic(0x01020304)`.
///
/// The line `from_str` is optional. It adds `FromStr`, for exactly `N` bytes as hex digits in any
/// case, with or without `0x`; its expression makes the error from the text. A type whose texts
/// follow other rules implements `FromStr` itself, with [`from_hex`].
macro_rules! fixed_bytes {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident([u8; $length:expr]);
        $(from_str($text:ident) => $error:ident $(($content:expr))?;)?
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $visibility struct $name(pub [u8; $length]);

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(&::std::format!("0x{}", ::hex::encode(self.0)))
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::write!(f, "{}({self})", ::std::stringify!($name))
            }
        }

        $(impl ::std::str::FromStr for $name {
            type Err = $error;

            fn from_str($text: &str) -> ::std::result::Result<Self, $error> {
                let digits = $text.strip_prefix("0x").unwrap_or($text);
                $crate::bytes::from_hex(digits).map(Self).ok_or_else(|| $error $(($content))?)
            }
        })?
    };
}
pub(crate) use fixed_bytes;

/// Reads exactly `N` bytes as hex digits without a prefix.
pub(crate) fn from_hex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes).is_ok().then_some(bytes)
}

#[cfg(test)]
mod tests {
    #[derive(Debug, PartialEq)]
    struct PairError(String);

    fixed_bytes! {
        /// Two bytes.
        #[derive(Default)]
        struct Pair([u8; 2]);
        from_str(text) => PairError(text.to_owned());
    }

    #[test]
    fn texts() {
        let pair = Pair([0x0a, 0xff]);
        assert_eq!(pair.to_string(), "0x0aff");
        assert_eq!(
            format!("{pair:?} {pair:>8} {:?}", Pair::default()),
            "Pair(0x0aff)   0x0aff Pair(0x0000)"
        );
        for text in ["0aff", "0x0aff", "0x0AFF"] {
            assert_eq!(text.parse(), Ok(pair));
        }
        for text in ["", "0x", "0X0aff", "0x0af", "0x0aff00", "0x0afg", "0x0x0aff"] {
            assert_eq!(text.parse::<Pair>(), Err(PairError(text.to_owned())));
        }
    }
}
