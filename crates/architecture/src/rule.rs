//! One line of a family: which roles a tensor holds and how they lie in it.
//!
//! Answers: *what does the right-hand side of a mapping say?* Must not know: names, shapes.

use crate::{Component, Role, Term};

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
    /// Every key-value head holds its queries, its key and its value together.
    PerHead,
    /// Every head holds the rows of all roles in turn if there are as many times more outputs than the output projection
    /// has inputs; else all of it is the first role.
    HeadsWhenDouble,
    /// Every head holds keys without position, then values; the output projection tells how wide values are.
    LatentHeads,
    /// As many outputs as there are inputs for every role but the last, which has the rest.
    Squares,
    /// Two roles take turns, a quarter of the outputs each time.
    TwoTurns,
    /// Two roles share the inputs: the first has as many as there are outputs, the second the rest.
    Inputs,
}

/// How the extents of a tensor of more than two are read as a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heads {
    /// The outermost extent is outputs, the rest inputs (convolutions).
    None,
    /// \[heads, outputs of one, inputs\].
    Outer,
    /// \[heads, inputs, outputs of one\].
    Turned,
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
    /// How heads lie in tensors of three extents.
    pub(crate) heads: Heads,
    /// Order of q and k rows.
    pub(crate) rotary: Rotary,
    /// The component, where it is not that of the family or of the prefix.
    pub(crate) component: Option<Component>,
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
            heads: Heads::None,
            rotary: Rotary::Never,
            component: None,
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
                "split-heads-when-double" => rule.split = Split::HeadsWhenDouble,
                "split-latent-heads" => rule.split = Split::LatentHeads,
                "split-two-turns" => rule.split = Split::TwoTurns,
                "split-squares" => rule.split = Split::Squares,
                "split-inputs" => rule.split = Split::Inputs,
                "join-heads" => rule.heads = Heads::Outer,
                "turn-heads" => rule.heads = Heads::Turned,
                "interleave" => rule.split = Split::Interleaved,
                "unstack" => rule.unstack = true,
                "rotary" => rule.rotary = Rotary::Always,
                "rotary-by-architecture" => rule.rotary = Rotary::ByArchitecture,
                "bias" => rule.term = Some(Term::Bias),
                "weight" => rule.term = Some(Term::Weight),
                _ if op.starts_with("in ") => {
                    let component = Component::from_name(op[3..].trim());
                    rule.component = Some(component.ok_or_else(|| format!("unknown component in `{text}`"))?);
                }
                _ => return Err(format!("unknown operation `{op}` in `{text}`")),
            }
        }
        let roles_fit = match rule.split {
            Split::None => rule.roles.len() == 1,
            Split::WhenDouble | Split::TwoTurns | Split::Inputs => rule.roles.len() == 2,
            Split::LatentHeads => rule.roles == [Role::KeyUp, Role::ValueUp],
            Split::Attention | Split::PerHead => rule.roles == [Role::Query, Role::Key, Role::Value],
            Split::Equal | Split::Interleaved | Split::HeadsWhenDouble | Split::Squares => {
                rule.roles.len() > 1
            }
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
