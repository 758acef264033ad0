//! What one value of the configuration may be: how it is read, what was expected when it cannot be, how it is shown.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::net::guard::Network;

/// A type that a key of `domicile.toml` may have.
pub(super) trait Value: Sized {
    /// What a value must look like, to be put behind "expected".
    fn expected() -> String;
    /// Reads a TOML value.
    fn read(value: &toml::Value) -> Option<Self>;
    /// Reads the text of an environment variable.
    fn read_text(text: &str) -> Option<Self>;
    /// The value as TOML, for the generated example.
    fn show(&self) -> String;
}

/// Text that never reaches a log: `Debug` and the texts of problems hide it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself; the caller keeps it out of logs.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() {
            "Secret(none)"
        } else {
            "Secret(…)"
        })
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

impl Value for String {
    fn expected() -> String {
        "a text in quotes".into()
    }
    fn read(value: &toml::Value) -> Option<Self> {
        value.as_str().map(Self::from)
    }
    fn read_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
    fn show(&self) -> String {
        quoted(self)
    }
}

impl Value for Secret {
    fn expected() -> String {
        "a text in quotes".into()
    }
    fn read(value: &toml::Value) -> Option<Self> {
        value.as_str().map(Self::new)
    }
    fn read_text(text: &str) -> Option<Self> {
        Some(Self::new(text))
    }
    fn show(&self) -> String {
        quoted(&self.0)
    }
}

impl Value for bool {
    fn expected() -> String {
        "true or false".into()
    }
    fn read(value: &toml::Value) -> Option<Self> {
        value.as_bool()
    }
    fn read_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

macro_rules! whole_number {
    ($($ty:ty)*) => {$(
        impl Value for $ty {
            fn expected() -> String {
                format!("a whole number from 0 to {}", <$ty>::MAX.min(u32::MAX as $ty))
            }
            fn read(value: &toml::Value) -> Option<Self> {
                value.as_integer().and_then(|n| Self::try_from(n).ok())
            }
            fn read_text(text: &str) -> Option<Self> {
                text.parse().ok()
            }
            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
whole_number!(u16 u32 u64);

macro_rules! parsed_from_text {
    ($($ty:ty: $expected:literal),* $(,)?) => {$(
        impl Value for $ty {
            fn expected() -> String {
                $expected.into()
            }
            fn read(value: &toml::Value) -> Option<Self> {
                value.as_str().and_then(Self::read_text)
            }
            fn read_text(text: &str) -> Option<Self> {
                text.parse().ok()
            }
            fn show(&self) -> String {
                quoted(&self.to_string())
            }
        }
    )*};
}
parsed_from_text! {
    SocketAddr: "an address with port, as in \"192.0.2.1:5222\" or \"[::]:5222\"",
    IpAddr: "an IP address, as in \"192.0.2.1\" or \"2001:db8::1\"",
    Network: "a network, as in \"10.0.0.0/8\" or \"fd00::/8\"",
}

impl Value for PathBuf {
    fn expected() -> String {
        "a path in quotes; a relative one starts at server.data_dir".into()
    }
    fn read(value: &toml::Value) -> Option<Self> {
        value.as_str().and_then(Self::read_text)
    }
    fn read_text(text: &str) -> Option<Self> {
        Some(Self::from(text))
    }
    fn show(&self) -> String {
        quoted(&self.to_string_lossy())
    }
}

impl<T: Value> Value for Vec<T> {
    fn expected() -> String {
        format!("a list, each {}", T::expected())
    }
    fn read(value: &toml::Value) -> Option<Self> {
        value.as_array()?.iter().map(T::read).collect()
    }
    fn read_text(text: &str) -> Option<Self> {
        let parts = text.split(',').map(str::trim).filter(|p| !p.is_empty());
        parts.map(T::read_text).collect()
    }
    fn show(&self) -> String {
        let items: Vec<String> = self.iter().map(T::show).collect();
        format!("[{}]", items.join(", "))
    }
}

/// A closed set of words.
macro_rules! words {
    ($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $wdoc:literal])+ $variant:ident = $word:literal),+ $(,)? } default $default:ident) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[doc = $wdoc])+ $variant),+ }

        impl Default for $name {
            fn default() -> Self {
                Self::$default
            }
        }

        impl $crate::config::value::Value for $name {
            fn expected() -> String {
                format!("one of {}", [$(concat!("\"", $word, "\"")),+].join(", "))
            }
            fn read(value: &toml::Value) -> Option<Self> {
                value.as_str().and_then(Self::read_text)
            }
            fn read_text(text: &str) -> Option<Self> {
                match text { $($word => Some(Self::$variant),)+ _ => None }
            }
            fn show(&self) -> String {
                match self { $(Self::$variant => concat!("\"", $word, "\"").into()),+ }
            }
        }
    };
}
pub(super) use words;
