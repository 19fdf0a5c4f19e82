// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The one place through which anything becomes callable from a launch
//! script. What is registered is documented in the same breath, so the
//! reference cannot miss a function nor list one that is not there.

use rhai::{Engine, RhaiNativeFunc};

/// How Rhai names the function that reads a property (`FN_GET` in its `engine.rs`).
const GETTER: &str = "get$";

/// One thing a script can use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Row {
    /// The type it belongs to, as a script sees it.
    pub(super) on: &'static str,
    /// `name` for a property, `name(parameters)` for a function.
    pub(super) signature: &'static str,
    /// What it gives.
    pub(super) returns: &'static str,
    /// What it means, as sentences.
    pub(super) doc: &'static str,
}

/// An engine being filled, and the rows of what it was filled with.
pub(super) struct Table<'e> {
    engine: &'e mut Engine,
    rows: Vec<Row>,
    on: &'static str,
}

impl<'e> Table<'e> {
    pub(super) fn new(engine: &'e mut Engine) -> Table<'e> {
        Table {
            engine,
            rows: Vec::new(),
            on: "",
        }
    }

    /// What follows belongs to `T`, which scripts know as `name`.
    pub(super) fn on<T: Clone + 'static>(&mut self, name: &'static str) -> &mut Table<'e> {
        self.engine.register_type_with_name::<T>(name);
        self.about(name)
    }

    /// What follows is documented under `name`.
    pub(super) fn about(&mut self, name: &'static str) -> &mut Table<'e> {
        self.on = name;
        self
    }

    /// A property that can be read and not written.
    pub(super) fn property<A: 'static, const X: bool, R: Clone + 'static, const F: bool>(
        &mut self,
        name: &'static str,
        returns: &'static str,
        doc: &'static str,
        read: impl RhaiNativeFunc<A, 1, X, R, F> + 'static,
    ) {
        self.engine.register_fn(format!("{GETTER}{name}"), read);
        self.rows.push(Row {
            on: self.on,
            signature: name,
            returns,
            doc,
        });
    }

    /// A function, or a method when its first argument is what it belongs to.
    pub(super) fn function<
        A: 'static,
        const N: usize,
        const X: bool,
        R: Clone + 'static,
        const F: bool,
    >(
        &mut self,
        signature: &'static str,
        returns: &'static str,
        doc: &'static str,
        function: impl RhaiNativeFunc<A, N, X, R, F> + 'static,
    ) {
        let name = signature.split('(').next().unwrap_or(signature);
        self.engine.register_fn(name, function);
        self.rows.push(Row {
            on: self.on,
            signature,
            returns,
            doc,
        });
    }

    pub(super) fn engine(&mut self) -> &mut Engine {
        self.engine
    }

    pub(super) fn finish(self) -> Vec<Row> {
        self.rows
    }
}

/// Rows of the table: a doc comment, `property` or `function`, the signature,
/// what it gives, and the Rust that does it.
macro_rules! rows {
    ($table:expr; $($(#[doc = $doc:literal])+ $kind:ident $signature:literal -> $returns:literal = $does:expr;)+) => {
        $($table.$kind($signature, $returns, concat!($($doc, "\n"),+), $does);)+
    };
}
pub(super) use rows;
