//! Arguments that clap builds only when their verb is asked for: the others' would be a tenth of
//! the time that it takes to start `run -s true`.

use clap::builder::{Resettable, StyledStr};
use clap::error::Error;
use clap::{ArgMatches, Args, Command, FromArgMatches};

/// The arguments of one verb. Its help text stands where the verb is listed, and what is documented on
/// the structs of its arguments is for the reader of the source. Each help ends with the page that says more.
pub struct Deferred<A>(pub A);

impl<A: Args> Args for Deferred<A> {
    fn augment_args(command: Command) -> Command {
        command.defer(|command| {
            let about = Resettable::from(command.get_about().cloned());
            let long_about = Resettable::from(command.get_long_about().cloned());
            let page = command.get_display_name().map(|name| format!("Manual: {name}(1)"));
            let command = A::augment_args(command).about(about).long_about(long_about);
            // One that has verbs of its own has no page: they have.
            match command.has_subcommands() {
                true => command,
                false => command.after_help(Resettable::from(page.map(StyledStr::from))),
            }
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        command.defer(A::augment_args_for_update)
    }
}

impl<A: FromArgMatches> FromArgMatches for Deferred<A> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        A::from_arg_matches(matches).map(Deferred)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }
}
