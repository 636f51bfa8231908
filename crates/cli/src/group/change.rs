//! `status-group new`, and the changes of a group.

use clap::Args;
use statuskit_core::{
    account::Uuid,
    crypto::PublicKey,
    payload::group::{Change, ChangeError, Group},
};

use crate::{
    context::Context,
    error::{CliError, Exit, Result},
    group::{history::HistoryArgs, record},
    keys::{IdentityArgs, parse_public_key},
};

/// The options of every change.
#[derive(Debug, Clone, Args)]
struct ChangeArgs {
    #[command(flatten)]
    history: HistoryArgs,
    #[command(flatten)]
    identity: IdentityArgs,
    /// Last clock of the chat in milliseconds, if messages have advanced it beyond the events
    #[arg(long, value_name = "CLOCK", default_value_t = 0)]
    last_clock: u64,
    #[command(flatten)]
    print: PrintArgs,
}

#[derive(Debug, Clone, Args)]
struct PrintArgs {
    /// Print the new events only, without the history
    #[arg(long)]
    new_only: bool,
}

impl PrintArgs {
    /// Prints a changed group, or what is new compared with `before`.
    fn emit(&self, group: &Group, before: Option<&Group>, cx: &mut Context) -> Result<()> {
        let events = match before.filter(|_| self.new_only) {
            Some(before) => before.unknown(group.events()).collect(),
            None => group.events().iter().collect::<Vec<_>>(),
        };
        for event in events {
            cx.collect(&record::from_event(group.chat_id(), event), record::event_text)?;
        }
        cx.flush()
    }
}

impl ChangeArgs {
    /// Makes changes one by one, each an event.
    fn make(&self, changes: &[Change<'_>], cx: &mut Context) -> Result<()> {
        let key = self.identity.require()?;
        let before = self.history.read_group(cx)?;
        let mut group = before.clone();
        for change in changes {
            let changed = group.change(*change, &key, self.last_clock, cx.now_ms());
            group = changed.map_err(|error| change_error(&error))?.group;
        }
        if has_admin(&before) && !has_admin(&group) && !group.state().members.to_vec().is_empty() {
            cx.note(
                "the group has no admin any more: nobody can add or remove members, or rename it. \
                 status-group promote makes another one before",
            );
        }
        self.print.emit(&group, Some(&before), cx)
    }
}

fn has_admin(group: &Group) -> bool {
    !group.state().admins.to_vec().is_empty()
}

fn change_error(error: &ChangeError) -> CliError {
    CliError::new(error.code(), Exit::Negative, error.to_string())
}

fn parse_keys(texts: &[String], field: &str) -> Result<Vec<PublicKey>> {
    texts.iter().map(|text| parse_public_key(text, field)).collect()
}

/// Create a group and invite its members
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-group new --identity me.key --name team --member $(status-account new --output hex) | tee events.json | status-group replay
  $ status-group new --identity me.key --name team --seed 1 --now 1585500000")]
pub struct NewCommand {
    /// Name of the group
    #[arg(long, value_name = "TEXT")]
    name: String,
    /// Public key of a member to invite: 0x04…, 0x02…, zQ3sh…, or a share link. Repeatable
    #[arg(long, value_name = "KEY")]
    member: Vec<String>,
    #[command(flatten)]
    identity: IdentityArgs,
}

impl NewCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let members = parse_keys(&self.member, "--member")?;
        let key = self.identity.require()?;
        let id = Uuid::generate(&mut cx.rng("group")?);
        let me = key.public_key();
        let others: Vec<_> = members.into_iter().filter(|member| *member != me).collect();
        let made = Group::create(id, &self.name, &others, &key, cx.now_ms());
        let group = made.map_err(|error| change_error(&error).exit(Exit::Usage))?.group;
        PrintArgs { new_only: false }.emit(&group, None, cx)
    }
}

/// Invite members; admins only
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-group new --identity me.key --name team | status-group add $(status-account new --output hex) --identity me.key")]
pub struct AddCommand {
    /// Public keys: 0x04…, 0x02…, zQ3sh…, or share links
    #[arg(value_name = "KEY", required = true)]
    keys: Vec<String>,
    #[command(flatten)]
    change: ChangeArgs,
}

impl AddCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let keys = parse_keys(&self.keys, "KEY")?;
        self.change.make(&[Change::Add(&keys)], cx)
    }
}

/// Remove members, with an event for each; admins only
///
/// `status-send --announce --group @FILE` sends the change to the others, and to the removed ones if
/// the state knows them as members.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ KEY=$(status-account new --output hex); status-group new --identity me.key --name team --member $KEY | status-group remove $KEY --identity me.key")]
pub struct RemoveCommand {
    /// Public keys of the members
    #[arg(value_name = "KEY", required = true)]
    keys: Vec<String>,
    #[command(flatten)]
    change: ChangeArgs,
}

impl RemoveCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let keys = parse_keys(&self.keys, "KEY")?;
        let changes: Vec<_> = keys.iter().map(Change::Remove).collect();
        self.change.make(&changes, cx)
    }
}

/// Make members admins; admins only
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ KEY=$(status-account new --output hex); status-group new --identity me.key --name team --member $KEY | status-group promote $KEY --identity me.key")]
pub struct PromoteCommand {
    /// Public keys of the members
    #[arg(value_name = "KEY", required = true)]
    keys: Vec<String>,
    #[command(flatten)]
    change: ChangeArgs,
}

impl PromoteCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let keys = parse_keys(&self.keys, "KEY")?;
        self.change.make(&[Change::Promote(&keys)], cx)
    }
}

/// Give up the rights of an admin
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-group new --identity me.key --name team | status-group resign --identity me.key")]
pub struct ResignCommand {
    #[command(flatten)]
    change: ChangeArgs,
}

impl ResignCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        self.change.make(&[Change::Resign], cx)
    }
}

/// Rename the group; admins only
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-group new --identity me.key --name team | status-group rename crew --identity me.key --new-only")]
pub struct RenameCommand {
    /// New name of the group
    name: String,
    #[command(flatten)]
    change: ChangeArgs,
}

impl RenameCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        self.change.make(&[Change::Rename(&self.name)], cx)
    }
}

/// Accept an invitation
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ statuskit keygen --out mine.json > mine.pub; status-group new --identity me.key --name team --member $(status-account show --identity mine.json --output hex) | status-group join --identity mine.json")]
pub struct JoinCommand {
    #[command(flatten)]
    change: ChangeArgs,
}

impl JoinCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        self.change.make(&[Change::Join], cx)
    }
}

/// Leave the group
///
/// `status-send --announce --group @FILE` tells the others. You can't write to the group any more.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-group new --identity me.key --name team | status-group leave --identity me.key | status-group show")]
pub struct LeaveCommand {
    #[command(flatten)]
    change: ChangeArgs,
}

impl LeaveCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        self.change.make(&[Change::Leave], cx)
    }
}
