// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The rules of a policy: who may do what to whom, which label something new
//! gets, and the rules that hold only while booleans say so
//! (`xen/xsm/flask/ss/{avtab,conditional}.c`).

use super::cursor::Cursor;
use super::error::Error;
use super::symbols::{Boolean, Class, Table, Type};

/// One rule about two types, or attributes, and a class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rule {
    pub(super) source: u32,
    pub(super) target: u32,
    pub(super) class: u32,
    pub(super) kind: RuleKind,
    /// Permissions, or the type of a transition.
    pub(super) data: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RuleKind {
    Allow,
    /// Audit rules grant nothing.
    Audit,
    /// `type_transition`.
    Transition,
    /// `type_member` and `type_change`, which userspace asks about.
    Userspace,
}

/// Rules that depend on booleans.
#[derive(Clone, Debug)]
pub(super) struct Conditional {
    expression: Vec<Term>,
    pub(super) when_true: Vec<Rule>,
    pub(super) when_false: Vec<Rule>,
}

#[derive(Clone, Copy, Debug)]
enum Term {
    Boolean(u32),
    Not,
    Or,
    And,
    Xor,
    Equal,
    NotEqual,
}

/// `avtab_read()`: the rules that always hold.
pub(super) fn read(
    from: &mut Cursor<'_>,
    classes: &Table<Class>,
    types: &Table<Type>,
) -> Result<Vec<Rule>, Error> {
    let count = from.count(12, "the rules")?;
    (0..count).map(|_| rule(from, classes, types)).collect()
}

/// `cond_read_list()`.
pub(super) fn read_conditional(
    from: &mut Cursor<'_>,
    classes: &Table<Class>,
    types: &Table<Type>,
    booleans: &Table<Boolean>,
) -> Result<Vec<Conditional>, Error> {
    let count = from.count(16, "the conditional rules")?;
    let mut conditionals = Vec::with_capacity(count);
    for _ in 0..count {
        // The state at compile time; it follows from the booleans.
        from.u32("a conditional rule")?;
        conditionals.push(Conditional {
            expression: expression(from, booleans)?,
            when_true: read(from, classes, types)?,
            when_false: read(from, classes, types)?,
        });
    }
    Ok(conditionals)
}

impl Conditional {
    /// Whether the expression is true with the booleans as the policy sets
    /// them (`cond_evaluate_expr()`).
    pub(super) fn is_true(&self, booleans: &Table<Boolean>) -> bool {
        let mut stack: Vec<bool> = Vec::new();
        for term in &self.expression {
            let value = match term {
                Term::Boolean(value) => booleans.thing(*value).state,
                Term::Not => !pop(&mut stack),
                Term::Or => pop(&mut stack) | pop(&mut stack),
                Term::And => pop(&mut stack) & pop(&mut stack),
                Term::Xor | Term::NotEqual => pop(&mut stack) != pop(&mut stack),
                Term::Equal => pop(&mut stack) == pop(&mut stack),
            };
            stack.push(value);
        }
        pop(&mut stack)
    }

    /// The expression as a policy's source has it.
    pub(super) fn text(&self, booleans: &Table<Boolean>) -> String {
        let mut stack: Vec<String> = Vec::new();
        for term in &self.expression {
            let mut operand = || stack.pop().expect("the reader counted the operands");
            let text = match term {
                Term::Boolean(value) => booleans.name(*value).to_owned(),
                Term::Not => format!("!{}", operand()),
                Term::Or | Term::And | Term::Xor | Term::Equal | Term::NotEqual => {
                    let (right, left) = (operand(), operand());
                    format!("({left} {} {right})", term.symbol())
                }
            };
            stack.push(text);
        }
        stack.pop().expect("the reader found one expression")
    }
}

impl Term {
    fn symbol(self) -> &'static str {
        match self {
            Term::Boolean(_) => "",
            Term::Not => "!",
            Term::Or => "||",
            Term::And => "&&",
            Term::Xor => "^",
            Term::Equal => "==",
            Term::NotEqual => "!=",
        }
    }
}

/// `avtab_read_item()`.
fn rule(from: &mut Cursor<'_>, classes: &Table<Class>, types: &Table<Type>) -> Result<Rule, Error> {
    let source = u32::from(from.u16("a rule")?);
    let target = u32::from(from.u16("a rule")?);
    let class = u32::from(from.u16("a rule")?);
    let specified = from.u16("a rule")?;
    let data = from.u32("a rule")?;
    let kind = match specified & !ENABLED {
        1 => RuleKind::Allow,
        2 | 4 => RuleKind::Audit,
        16 => RuleKind::Transition,
        32 | 64 => RuleKind::Userspace,
        _ => return Err(from.invalid("a rule of unknown kind")),
    };
    let is_type = matches!(kind, RuleKind::Transition | RuleKind::Userspace);
    if !types.has(source)
        || !types.has(target)
        || !classes.has(class)
        || (is_type && !types.has(data))
    {
        return Err(from.invalid("a rule about a type or class that is not there"));
    }
    Ok(Rule {
        source,
        target,
        class,
        kind,
        data,
    })
}

fn expression(from: &mut Cursor<'_>, booleans: &Table<Boolean>) -> Result<Vec<Term>, Error> {
    let count = from.count(8, "a conditional rule")?;
    let mut depth = 0;
    let mut terms = Vec::with_capacity(count);
    for _ in 0..count {
        let kind = from.u32("a conditional rule")?;
        let value = from.u32("a conditional rule")?;
        let (term, takes) = match kind {
            1 if booleans.has(value) => (Term::Boolean(value), 0),
            2 => (Term::Not, 1),
            3 => (Term::Or, 2),
            4 => (Term::And, 2),
            5 => (Term::Xor, 2),
            6 => (Term::Equal, 2),
            7 => (Term::NotEqual, 2),
            _ => return Err(from.invalid("a conditional rule with an unknown term")),
        };
        if depth < takes || depth - takes >= MAX_DEPTH {
            return Err(from.invalid("a condition is too deep or lacks an operand"));
        }
        depth = depth - takes + 1;
        terms.push(term);
    }
    if depth == 1 {
        Ok(terms)
    } else {
        Err(from.invalid("a condition is not one expression"))
    }
}

fn pop(stack: &mut Vec<bool>) -> bool {
    stack
        .pop()
        .expect("the reader counted the operands of each term")
}

/// `AVTAB_ENABLED`: set in conditional rules that held at compile time.
const ENABLED: u16 = 0x8000;
/// `COND_EXPR_MAXDEPTH`.
const MAX_DEPTH: usize = 10;
