//! Enums whose numbers are those of the C API, each declared once.

/// Declares an enum with a number for each variant.
macro_rules! numbers {
    ($(#[$doc:meta])* pub enum $Numbers:ident { $($(#[$of:meta])* $variant:ident = $number:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(i32)]
        pub enum $Numbers { $($(#[$of])* $variant = $number,)* }

        impl $Numbers {
            /// Every one, in the order of its number.
            pub const ALL: &'static [$Numbers] = &[$($Numbers::$variant,)*];

            /// The one with this number.
            pub const fn from_code(code: i32) -> Option<$Numbers> {
                match code { $($number => Some($Numbers::$variant),)* _ => None }
            }
        }
    };
}

/// Declares an enum with a number and a name for each variant.
macro_rules! numbered {
    ($(#[$doc:meta])* pub enum $Numbered:ident { $($(#[$of:meta])* $variant:ident = $number:literal, $name:literal;)* }) => {
        $crate::numbered::numbers! {
            $(#[$doc])*
            pub enum $Numbered { $($(#[$of])* $variant = $number;)* }
        }

        impl $Numbered {
            /// Its name, one lower-case word.
            pub const fn name(self) -> &'static str {
                match self { $($Numbered::$variant => $name,)* }
            }
        }
    };
}

pub(crate) use {numbered, numbers};
