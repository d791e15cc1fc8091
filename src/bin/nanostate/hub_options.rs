//! The flags of `nanostate hub` that set options of the hub: one for each, made from the library's table.

use std::borrow::Cow;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use nanostate::options::Unit;
use nanostate::HubOption;

/// The options that were given, and their values.
pub struct Options(pub Vec<(HubOption, i64)>);

/// The flag of an option: `--max-message` for `NS_OPT_HUB_MAX_MESSAGE`. The value of a duration has its unit.
fn flag(option: HubOption) -> String {
    let name = option.about().name;
    let name = name.strip_prefix("NS_OPT_HUB_").unwrap_or(name);
    let name = match option.about().unit {
        Unit::Milliseconds => name.strip_suffix("_MS").unwrap_or(name),
        _ => name,
    };
    name.to_ascii_lowercase().replace('_', "-")
}

/// A text of the library, with flags in place of the options that it names.
pub fn with_flags(text: &str) -> Cow<'_, str> {
    let named = HubOption::ALL.iter().filter(|option| text.contains(option.about().name));
    named.fold(text.into(), |text, option| text.replace(option.about().name, &format!("--{}", flag(*option))).into())
}

/// The group of `--help` that an option belongs to; `None` for that of the other flags.
fn heading(option: HubOption) -> Option<&'static str> {
    let heading = match option {
        HubOption::MaxMessage | HubOption::MaxPeers | HubOption::Outbox | HubOption::Unfinished => "Limits",
        HubOption::Memory | HubOption::StalledFrameMs | HubOption::Progress | HubOption::HandshakeMs => "Limits",
        HubOption::TableStates | HubOption::TableBytes | HubOption::DepartedMs => "Kept states",
        HubOption::LegacyMax | HubOption::LegacyStructured | HubOption::LegacySnapshot => "Old programs",
        HubOption::IpcMode | HubOption::Echo => return None,
    };
    Some(heading)
}

fn argument(option: HubOption) -> Arg {
    let about = option.about();
    let argument = Arg::new(about.name).long(flag(option)).help_heading(heading(option));
    let value_name = match about.unit {
        Unit::Flag => return argument.action(ArgAction::SetTrue).help(about.text),
        Unit::Count => "NUMBER",
        Unit::Bytes => "SIZE",
        Unit::Milliseconds => "DURATION",
        Unit::Permissions => "OCTAL",
    };
    argument.value_name(value_name).value_parser(ValueParser::new(move |text: &str| about.parse(text))).help(format!(
        "{} ({}) [default: {}]",
        about.text,
        about.range(),
        about.unit.show(about.default)
    ))
}

impl clap::Args for Options {
    fn augment_args(command: Command) -> Command {
        command.args(HubOption::ALL.iter().map(|option| argument(*option)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Options::augment_args(command)
    }
}

impl clap::FromArgMatches for Options {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Options, clap::Error> {
        let given = |option: &HubOption| {
            let about = option.about();
            let value = match about.unit {
                Unit::Flag => matches.get_flag(about.name).then_some(1),
                _ => matches.get_one(about.name).copied(),
            };
            value.map(|value| (*option, value))
        };
        Ok(Options(HubOption::ALL.iter().filter_map(given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Options::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Vec<(HubOption, i64)>, String> {
        let command = Options::augment_args(Command::new("hub").no_binary_name(true));
        let matches = command.try_get_matches_from(arguments).map_err(|error| error.to_string())?;
        Ok(Options::from_arg_matches(&matches).unwrap().0)
    }

    #[test]
    fn every_option_has_a_flag_that_takes_what_help_shows() {
        for option in HubOption::ALL {
            let (about, flag) = (option.about(), format!("--{}", flag(*option)));
            let given = match about.unit {
                Unit::Flag => parse(&[&flag]),
                _ => parse(&[&flag, &about.unit.show(about.high)]),
            };
            assert_eq!(given, Ok(vec![(*option, about.high)]), "{flag}");
        }
        assert_eq!(parse(&[]), Ok(vec![]));
    }

    #[test]
    fn a_text_of_the_library_names_flags() {
        for option in HubOption::ALL {
            let name = option.about().name;
            assert_eq!(with_flags(&format!("a {name}; {name} b")), format!("a --{0}; --{0} b", flag(*option)));
        }
        assert_eq!(with_flags("NS_OPT_HUB_, NS_OPT_LINGER_MS"), "NS_OPT_HUB_, NS_OPT_LINGER_MS");
    }

    #[test]
    fn a_value_that_is_refused_is_named_with_its_flag() {
        for (arguments, words) in [
            (["--max-message", "64MB"], "'64MB' for '--max-message <SIZE>': expected a size, like "),
            (["--outbox", "2GiB"], "'2GiB' for '--outbox <SIZE>': expected 1B to 1GiB"),
            (["--handshake", "5000"], "'5000' for '--handshake <DURATION>': expected a duration with its unit, like "),
            (["--ipc-mode", "999"], "'999' for '--ipc-mode <OCTAL>': expected octal permissions, like 0660"),
            (["--max-peers", "0"], "'0' for '--max-peers <NUMBER>': expected 1 to 2147483647"),
        ] {
            let error = parse(&arguments).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
