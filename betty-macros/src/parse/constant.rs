//! Expressions of constants in the place of numbers, told from the names of levels.

use proc_macro2::TokenStream;
use syn::visit::{self, Visit};
use syn::{AngleBracketedGenericArguments, Expr, ExprPath, Macro, Path, Type};

/// Whether the tokens are an expression whose names are constants, as their case says or a path to them: `LR`,
/// `2.0 * 0.1`, `STEPS as f64 / 2.0`, `STEPS.pow(2)`, `DEFAULTS.lr`, `defaults::lr()`, `<Net as Sized>::WIDTH`. A name in small
/// letters is that of a level, unless it is that of a field or a method.
pub(super) fn is_constant(tokens: &TokenStream) -> bool {
    let is_literal = |expression: &Expr| match expression {
        Expr::Lit(_) => true,
        Expr::Unary(of) => matches!(*of.expr, Expr::Lit(_)),
        _ => false,
    };
    let Ok(expression) = syn::parse2::<Expr>(tokens.clone()) else { return false };
    let mut names = Names { are_constants: !is_literal(&expression) };
    names.visit_expr(&expression);
    names.are_constants
}

/// Looks at the names in an expression.
struct Names {
    are_constants: bool,
}

impl Names {
    fn may_be_level(path: &Path) -> bool {
        path.get_ident().is_some_and(|name| name.to_string().contains(char::is_lowercase))
    }
}

impl<'a> Visit<'a> for Names {
    fn visit_expr(&mut self, expression: &'a Expr) {
        // What syn did not understand could be anything.
        self.are_constants &= !matches!(expression, Expr::Verbatim(_));
        visit::visit_expr(self, expression);
    }

    fn visit_expr_path(&mut self, of: &'a ExprPath) {
        self.are_constants &= of.qself.is_some() || !Self::may_be_level(&of.path);
    }

    fn visit_macro(&mut self, of: &'a Macro) {
        self.are_constants &= !Self::may_be_level(&of.path);
    }

    // The names of types are not those of numbers.
    fn visit_type(&mut self, _: &'a Type) {}

    fn visit_angle_bracketed_generic_arguments(&mut self, _: &'a AngleBracketedGenericArguments) {}
}
