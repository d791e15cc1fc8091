//! Enums whose numbers are those of the C API, each declared once: variant, number, name.

/// Declares an enum with a number and a name for each variant.
macro_rules! numbered {
    ($(#[$doc:meta])* pub enum $Numbered:ident { $($(#[$of:meta])* $variant:ident = $number:literal, $name:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(i32)]
        pub enum $Numbered { $($(#[$of])* $variant = $number,)* }

        impl $Numbered {
            /// Every one, in the order of its number.
            pub const ALL: &'static [$Numbered] = &[$($Numbered::$variant,)*];

            /// The one with this number.
            pub const fn from_code(code: i32) -> Option<$Numbered> {
                match code { $($number => Some($Numbered::$variant),)* _ => None }
            }

            /// Its name, one lower-case word.
            pub const fn name(self) -> &'static str {
                match self { $($Numbered::$variant => $name,)* }
            }
        }
    };
}

pub(crate) use numbered;
