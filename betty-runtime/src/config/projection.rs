//! The sets to which a level's parameters are confined.

use betty_macros::configs;

configs! {
    /// A set; after each of its steps a level moves to the nearest point of it. In JSON `{"name": "simplex", "total": 1.0}`.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub enum ProjectionConfig {}
}
