//! Counters of the library in the form of C.

/// Makes the struct of C from the one of Rust: fields that are the same in both, and after `;` others, with what they
/// become. The struct of C is written out, for the generator of the header to read; but a field that only one of the
/// two has does not compile here.
macro_rules! counters {
    ($Rust:ident as $C:ident { $($same:ident),*; $($other:ident: $value:expr),* }) => {
        impl From<$Rust> for $C {
            fn from(stats: $Rust) -> $C {
                let $Rust { $($same,)* $($other,)* } = stats;
                $C { $($same,)* $($other: $value,)* }
            }
        }
    };
}

pub(super) use counters;
