//! One line of a family: which roles a tensor holds and how they lie in it.
//!
//! Answers: *what does the right-hand side of a mapping say?* Must not know: names, shapes.

use crate::{Role, Term};

/// How the stored axes of a matrix relate to \[out, in\].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Orientation {
    /// Stored as \[out, in\].
    Stored,
    /// Stored as \[in, out\].
    Transposed,
    /// The shape decides by the residual width; when it cannot, the family's habit does.
    ByShape {
        /// The family's habit.
        transposed: bool,
    },
}

/// How several roles share the output axis of one tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Split {
    /// One role, the whole tensor.
    None,
    /// As many equal runs as roles.
    Equal,
    /// Queries, then keys and values of equal extent; the output projection tells how many queries.
    Attention,
    /// Two equal runs if there are twice as many outputs as `down` has inputs; else all of it is the last role.
    WhenDouble,
    /// Output `n * k + i` belongs to role `i` of `n`.
    Interleaved,
    /// Heads hold their queries, keys and values together: no [`crate::View`] says that.
    PerHead,
}

/// When q and k rows are stored in adjacent rotary pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rotary {
    /// Never.
    Never,
    /// Always.
    Always,
    /// For the architectures that the family lists as interleaved.
    ByArchitecture,
}

/// A parsed right-hand side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Roles, in storage order.
    pub(crate) roles: Vec<Role>,
    /// Orientation of the matrix.
    pub(crate) orientation: Orientation,
    /// Sharing of the output axis.
    pub(crate) split: Split,
    /// Whether the outermost axis counts experts.
    pub(crate) unstack: bool,
    /// Order of q and k rows.
    pub(crate) rotary: Rotary,
    /// The term, where the name's last token does not say it.
    pub(crate) term: Option<Term>,
    /// Whether storage order or habit, not shape or name, told the roles apart.
    pub(crate) guessed: bool,
}

impl Rule {
    /// A rule for one role that is the whole tensor.
    pub(crate) fn plain(role: Role) -> Rule {
        Rule {
            roles: vec![role],
            orientation: Orientation::Stored,
            split: Split::None,
            unstack: false,
            rotary: Rotary::Never,
            term: None,
            guessed: false,
        }
    }

    /// Parses `role ["+" role]* ["|" op]*`.
    pub(crate) fn parse(text: &str) -> Result<Rule, String> {
        let mut pieces = text.split('|').map(str::trim);
        let names = pieces.next().unwrap_or_default();
        let roles = names
            .split('+')
            .map(|name| Role::from_name(name).ok_or_else(|| format!("unknown role `{name}` in `{text}`")))
            .collect::<Result<Vec<_>, _>>()?;
        let mut rule = Rule { roles, ..Rule::plain(Role::Query) };
        for op in pieces {
            match op {
                "transpose" => rule.orientation = Orientation::Transposed,
                "orient-stored" => rule.orientation = Orientation::ByShape { transposed: false },
                "orient-transposed" => rule.orientation = Orientation::ByShape { transposed: true },
                "split-equal" => rule.split = Split::Equal,
                "split-attention" => rule.split = Split::Attention,
                "split-when-double" => rule.split = Split::WhenDouble,
                "split-per-head" => rule.split = Split::PerHead,
                "interleave" => rule.split = Split::Interleaved,
                "unstack" => rule.unstack = true,
                "rotary" => rule.rotary = Rotary::Always,
                "rotary-by-architecture" => rule.rotary = Rotary::ByArchitecture,
                "bias" => rule.term = Some(Term::Bias),
                _ => return Err(format!("unknown operation `{op}` in `{text}`")),
            }
        }
        let roles_fit = match rule.split {
            Split::None => rule.roles.len() == 1,
            Split::WhenDouble => rule.roles.len() == 2,
            Split::Attention | Split::PerHead => rule.roles == [Role::Query, Role::Key, Role::Value],
            Split::Equal | Split::Interleaved => rule.roles.len() > 1,
        };
        if roles_fit { Ok(rule) } else { Err(format!("roles and split do not fit in `{text}`")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar() {
        let rule = Rule::parse("ffn.gate+ffn.up | unstack | orient-transposed | interleave | bias").unwrap();
        assert_eq!(rule.roles, [Role::Gate, Role::Up]);
        assert_eq!(rule.orientation, Orientation::ByShape { transposed: true });
        assert_eq!(rule.split, Split::Interleaved);
        assert_eq!((rule.unstack, rule.term), (true, Some(Term::Bias)));
        assert!(Rule::parse("ffn.gate+ffn.up").is_err());
        assert!(Rule::parse("ffn.gate | split-attention").is_err());
        assert!(Rule::parse("ffn.gates").is_err());
        assert!(Rule::parse("ffn.gate | turn").is_err());
    }
}
