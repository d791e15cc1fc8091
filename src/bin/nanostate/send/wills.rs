//! The wills of the command.

use nanostate::{wire, App, Error, Value, Will};

use super::{parse, Parsed, Type};
use crate::{output, Failure};

#[derive(clap::Args)]
pub struct WillArguments {
    /// With --stdin: have the hub publish this value, of the type of the lines, if this command is killed, or cut off and not
    /// back within 5 s; not after the end of the input, SIGINT or SIGTERM. May be given several times
    #[arg(long, num_args = 2, value_names = ["NAME", "VALUE"], requires_all = ["stdin", "identity"], conflicts_with = "name", allow_hyphen_values = true)]
    will: Vec<String>,
    /// With --stdin: have the hub withdraw the value of this name then. May be given several times
    #[arg(long, value_name = "NAME", requires_all = ["stdin", "identity"], conflicts_with = "name")]
    will_clear: Vec<String>,
}

/// A will: a name, and its value as MessagePack; none: the value is withdrawn.
pub struct Left<'a> {
    name: &'a str,
    value: Option<Vec<u8>>,
}

impl WillArguments {
    pub fn are_any(&self) -> bool {
        !self.will.is_empty() || !self.will_clear.is_empty()
    }

    /// Parses the values as this type. A name or a value that is not allowed is wrong usage.
    pub fn read(&self, kind: Type) -> Result<Vec<Left<'_>>, Failure> {
        let mut all = Vec::new();
        for pair in self.will.chunks_exact(2) {
            let (name, text) = (&*pair[0], &*pair[1]);
            wire::check_name(name)?;
            let at_fault = |why: String| Failure::Usage(format!("--will {}: {why}", output::shown(name)));
            let mut value = Vec::new();
            match parse(kind, text.as_bytes()).map_err(at_fault)? {
                Parsed::Value(parsed) => parsed.encode(&mut value),
                Parsed::Json(json) => {
                    wire::to_msgpack(json, &mut value).map_err(|error: Error| at_fault(error.to_string()))?;
                }
            }
            all.push(Left { name, value: Some(value) });
        }
        for name in &self.will_clear {
            wire::check_name(name)?;
            all.push(Left { name, value: None });
        }
        Ok(all)
    }
}

/// Leaves the wills with the hub, which has them once the app has flushed.
pub fn leave(app: &App, all: &[Left<'_>]) -> Result<(), Failure> {
    for Left { name, value } in all {
        let will = value.as_deref().map_or(Will::Clear, |value| Will::Value(Value::Msgpack(value)));
        app.set_will(name, will)?;
    }
    Ok(())
}
