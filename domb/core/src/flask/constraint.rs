// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Constraints: permissions of a class that two labels can only have if an
//! expression about their users, roles and types holds. The expression stands
//! in the policy as operands and operators in postfix order
//! (`xen/xsm/flask/ss/constraint.h`).

use super::bits::Bits;
use super::cursor::Cursor;
use super::error::Error;
use super::label::Context;
use super::policydb::DEVICETREE;
use super::symbols::{Role, Table};

/// Permissions that are lost where the expression does not hold.
#[derive(Clone, Debug)]
pub(super) struct Constraint {
    pub(super) permissions: u32,
    terms: Vec<Term>,
}

#[derive(Clone, Debug)]
enum Term {
    Not,
    And,
    Or,
    /// The two labels' users, roles or types compared with each other.
    Pair(Part, Op),
    /// One label's user, role or type compared with a set.
    Names {
        target: bool,
        part: Part,
        op: Op,
        names: Bits,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    User,
    Role,
    Type,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Op {
    Equal,
    NotEqual,
    Dominates,
    DominatedBy,
    Incomparable,
}

impl Constraint {
    /// `read_cons_helper()`. A validation (`validatetrans`) may also speak of
    /// a third label; Xen never evaluates one.
    pub(super) fn read_list(
        from: &mut Cursor<'_>,
        count: usize,
        version: u32,
        validation: bool,
    ) -> Result<Vec<Constraint>, Error> {
        (0..count)
            .map(|_| Constraint::read(from, version, validation))
            .collect()
    }

    fn read(from: &mut Cursor<'_>, version: u32, validation: bool) -> Result<Constraint, Error> {
        let permissions = from.u32("a constraint")?;
        let count = from.count(12, "a constraint")?;
        let mut terms = Vec::with_capacity(count);
        let mut depth = 0;
        for _ in 0..count {
            let term = Term::read(from, version, validation)?;
            let (takes, leaves) = match term {
                Term::Not => (1, 1),
                Term::And | Term::Or => (2, 1),
                Term::Pair(..) | Term::Names { .. } => (0, 1),
            };
            if depth < takes || depth - takes + leaves > MAX_DEPTH {
                return Err(from.invalid("a constraint is too deep or lacks an operand"));
            }
            depth = depth - takes + leaves;
            terms.push(term);
        }
        if depth != 1 {
            return Err(from.invalid("a constraint is not one expression"));
        }
        Ok(Constraint { permissions, terms })
    }

    /// `constraint_expr_eval()`.
    pub(super) fn holds(&self, source: &Context, target: &Context, roles: &Table<Role>) -> bool {
        let mut stack = Vec::with_capacity(MAX_DEPTH);
        for term in &self.terms {
            let value = match term {
                Term::Not => !pop(&mut stack),
                Term::And => pop(&mut stack) & pop(&mut stack),
                Term::Or => pop(&mut stack) | pop(&mut stack),
                Term::Pair(part, op) => compared(*op, part.of(source), part.of(target), roles),
                Term::Names {
                    target: of_target,
                    part,
                    op,
                    names,
                } => {
                    let context = if *of_target { target } else { source };
                    names.has(part.of(context)) == (*op == Op::Equal)
                }
            };
            stack.push(value);
        }
        pop(&mut stack)
    }
}

impl Term {
    fn read(from: &mut Cursor<'_>, version: u32, validation: bool) -> Result<Term, Error> {
        let kind = from.u32("a constraint")?;
        let attr = from.u32("a constraint")?;
        let op = from.u32("a constraint")?;
        match kind {
            1 => Ok(Term::Not),
            2 => Ok(Term::And),
            3 => Ok(Term::Or),
            4 => {
                let part =
                    Part::new(attr).ok_or_else(|| from.invalid("a constraint about levels"))?;
                let op = Op::new(op).filter(|op| part == Part::Role || op.is_plain());
                Ok(Term::Pair(
                    part,
                    op.ok_or_else(|| from.invalid("an unknown comparison"))?,
                ))
            }
            5 => {
                let (target, third) = (attr & 8 != 0, attr & 16 != 0);
                let part = Part::new(attr & !(8 | 16)).filter(|_| validation || !third);
                let part =
                    part.ok_or_else(|| from.invalid("a constraint about an unknown label"))?;
                let op = Op::new(op).filter(|op| op.is_plain());
                let op = op.ok_or_else(|| from.invalid("an unknown comparison"))?;
                let names = Bits::read(from)?;
                if version >= DEVICETREE {
                    // The names as written, for decompilers.
                    Bits::read(from)?;
                    Bits::read(from)?;
                    from.u32("a constraint")?;
                }
                Ok(Term::Names {
                    target,
                    part,
                    op,
                    names,
                })
            }
            _ => Err(from.invalid("an unknown term in a constraint")),
        }
    }
}

impl Part {
    fn new(attr: u32) -> Option<Part> {
        match attr {
            1 => Some(Part::User),
            2 => Some(Part::Role),
            4 => Some(Part::Type),
            _ => None,
        }
    }

    fn of(self, context: &Context) -> u32 {
        match self {
            Part::User => context.user,
            Part::Role => context.role,
            Part::Type => context.kind,
        }
    }
}

impl Op {
    fn new(op: u32) -> Option<Op> {
        match op {
            1 => Some(Op::Equal),
            2 => Some(Op::NotEqual),
            3 => Some(Op::Dominates),
            4 => Some(Op::DominatedBy),
            5 => Some(Op::Incomparable),
            _ => None,
        }
    }

    fn is_plain(self) -> bool {
        matches!(self, Op::Equal | Op::NotEqual)
    }
}

fn compared(op: Op, one: u32, two: u32, roles: &Table<Role>) -> bool {
    let over = |a: u32, b: u32| roles.thing(a).dominates.has(b);
    match op {
        Op::Equal => one == two,
        Op::NotEqual => one != two,
        Op::Dominates => over(one, two),
        Op::DominatedBy => over(two, one),
        Op::Incomparable => !over(one, two) && !over(two, one),
    }
}

fn pop(stack: &mut Vec<bool>) -> bool {
    stack
        .pop()
        .expect("the reader counted the operands of each term")
}

/// `CEXPR_MAXDEPTH`.
const MAX_DEPTH: usize = 5;
