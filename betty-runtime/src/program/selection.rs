//! Which tensors of a module are a level's parameters: those that can be trained, less what the config leaves out.

use std::collections::BTreeSet;

use betty_schema::{lies_in, suggestion};

use crate::config::{ConfigError, LevelConfig};
use crate::error::{EngineError, ModuleError};
use crate::trace::{Leaf, LevelModule};

/// The numbers of the leaves that the level moves, in the module's order.
///
/// A path names a tensor or everything inside a submodule. Without `train` that is the whole module; `freeze` takes parts
/// away again.
pub(crate) fn parameters(name: &str, leaves: &[Leaf], config: &LevelConfig) -> Result<Vec<usize>, EngineError> {
    for (field, paths) in [("train", config.train.as_deref().unwrap_or_default()), ("freeze", &config.freeze)] {
        let exists = |part: &str| leaves.iter().flat_map(Leaf::paths).any(|path| lies_in(path, part));
        if let Some(unknown) = paths.iter().find(|part| !exists(part)) {
            return Err(no_such_part(format!("{name}.{field}"), unknown, leaves).into());
        }
    }
    let is_in = |path: &str, parts: &[String]| parts.iter().any(|part| lies_in(path, part));
    let moves =
        |path: &str| config.train.as_ref().is_none_or(|parts| is_in(path, parts)) && !is_in(path, &config.freeze);
    let mut selected = Vec::new();
    for (index, leaf) in leaves.iter().enumerate().filter(|(_, leaf)| leaf.trainable) {
        // One parameter cannot both move and stand still.
        let (moved, still): (Vec<&str>, Vec<&str>) = leaf.paths().partition(|path| moves(path));
        match (moved.first(), still.first()) {
            (Some(moved), Some(still)) => {
                let (level, moved, still) = (name.into(), (*moved).into(), (*still).into());
                return Err(ModuleError::TiedSelection { level, moved, still }.into());
            }
            (Some(_), None) => selected.push(index),
            (None, _) => {}
        }
    }
    if selected.is_empty() {
        return Err(ModuleError::NothingToTrain { level: name.into() }.into());
    }
    Ok(selected)
}

/// The level's parameters, and their numbers among the leaves.
pub(crate) fn chosen(
    name: &str,
    module: &dyn LevelModule,
    config: &LevelConfig,
) -> Result<(Vec<usize>, Vec<Leaf>), EngineError> {
    let leaves = module.leaves();
    let numbers = parameters(name, &leaves, config)?;
    let chosen = numbers.iter().map(|&number| leaves[number].clone()).collect();
    Ok((numbers, chosen))
}

/// Lists what there is as deep as the path is right, and the part of the module that it resembles most.
pub(super) fn no_such_part(path: String, name: &str, leaves: &[Leaf]) -> ConfigError {
    let ends = |path: &str| path.match_indices('.').map(|(end, _)| end).chain([path.len()]).collect::<Vec<_>>();
    let parts: BTreeSet<&str> =
        leaves.iter().flat_map(Leaf::paths).flat_map(|path| ends(path).into_iter().map(|end| &path[..end])).collect();
    let right = ends(name).into_iter().map(|end| &name[..end]).take_while(|part| parts.contains(part)).last();
    let depth = right.map_or(0, |right| right.split('.').count());
    let beside = |part: &&&str| part.split('.').count() == depth + 1 && right.is_none_or(|right| lies_in(part, right));
    let mut known: Vec<String> = parts.iter().filter(beside).map(|&part| part.to_owned()).collect();
    if known.is_empty() {
        // The path goes on behind a tensor.
        known.extend(right.map(str::to_owned));
    }
    let suggestion = suggestion(name, parts.iter().copied()).map(str::to_owned);
    ConfigError::Unknown { path, noun: "part of the module", name: name.to_owned(), suggestion, known }
}

#[cfg(test)]
mod tests {
    use burn::module::ParamId;
    use burn::tensor::{DType, Device};

    use super::*;
    use crate::execute::Value;

    const PATHS: [&str; 5] =
        ["encoder.norm.gamma", "encoder.norm.beta", "encoder.norm2.gamma", "head.0.weight", "scale"];

    fn leaves() -> Vec<Leaf> {
        let value = Value::scalar(0.0, DType::F32, &Device::flex());
        PATHS.iter().map(|path| leaf(path, &[], &value)).collect()
    }

    fn leaf(path: &str, also: &[&str], value: &Value) -> Leaf {
        let also = also.iter().map(|&path| path.to_owned()).collect();
        Leaf { path: path.into(), also, id: ParamId::new(), value: value.clone(), trainable: true }
    }

    fn select(fields: &str) -> Result<Vec<usize>, EngineError> {
        let config = format!(r#"{{ "optimizer": {{ "name": "sgd", "lr": 0.1 }}, {fields} }}"#);
        parameters("net", &leaves(), &serde_json::from_str(&config).expect("a config"))
    }

    #[test]
    fn a_path_is_a_tensor_or_everything_inside_a_submodule() {
        assert_eq!(select(r#""train": ["encoder.norm"]"#).expect("two"), [0, 1]);
        assert_eq!(select(r#""train": ["encoder.norm.beta", "head"]"#).expect("two"), [1, 3]);
        assert_eq!(select(r#""freeze": ["encoder.norm", "scale"]"#).expect("two"), [2, 3]);
        assert_eq!(select(r#""train": ["encoder"], "freeze": ["encoder.norm.beta"]"#).expect("two"), [0, 2]);
        assert_eq!(select(r#""train": null"#).expect("all"), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn nothing_is_left() {
        for fields in [r#""train": []"#, r#""train": ["head"], "freeze": ["head.0"]"#] {
            assert!(
                matches!(select(fields), Err(EngineError::Module(ModuleError::NothingToTrain { level })) if level == "net")
            );
        }
    }

    #[test]
    fn a_part_that_does_not_exist_is_told_with_those_that_do() {
        let text = |fields: &str| select(fields).expect_err("no such part").to_string();
        assert_eq!(
            text(r#""freeze": ["encoder.nrom"]"#),
            "`net.freeze`: unknown part of the module `encoder.nrom` (did you mean `encoder.norm`?); known are \
             `encoder.norm` and `encoder.norm2`"
        );
        assert_eq!(
            text(r#""train": ["body"]"#),
            "`net.train`: unknown part of the module `body`; known are `encoder`, `head` and `scale`"
        );
        assert!(text(r#""train": ["scale.x"]"#).ends_with("known are `scale`"));
        // A prefix of a name is no part.
        assert!(text(r#""train": ["enc"]"#).contains("did you mean `encoder`?"));
    }
}
