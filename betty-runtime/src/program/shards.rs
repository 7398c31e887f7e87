//! Shares of a batch, put together: what each rank has, one after the other.

use burn::tensor::{Device, TensorData};

use super::subject::Subject;
use crate::derivatives::Draw;
use crate::distributed::Ranks;
use crate::error::{EngineError, ShardError};
use crate::execute::Value;
use crate::trace::{AnyBatch, Part};

/// A rank's share of a batch, or the first examples of it, and all shares as one batch.
pub(super) struct Joined {
    pub(super) share: AnyBatch,
    pub(super) whole: AnyBatch,
}

/// Joins what every rank keeps of its share: along the first dimension, but for tensors that count no examples and are the same on
/// all ranks.
pub(super) fn join(ranks: &Ranks, level: &str, batch: &AnyBatch, part: Option<Part>) -> Result<Joined, EngineError> {
    let refused = |reason: String| EngineError::Shard(ShardError::NotJoinable { level: level.into(), reason });
    let examples = batch.examples();
    let (mut share, mut whole) = (Vec::new(), Vec::new());
    for (index, value) in batch.tensors().enumerate() {
        let data = value.to_data()?;
        let shape = part.map_or(value.shape(), |part| part.cut(value.shape()));
        let is_counted = value.shape().first().copied() == examples;
        let row = data.as_bytes().len() / value.shape().first().copied().unwrap_or(1).max(1);
        let kept = row * shape.first().copied().unwrap_or(1);
        let bytes = data.as_bytes()[..kept].to_vec();
        let rows = ranks.numbers(shape.first().copied().unwrap_or(1) as u64)?;
        let rest = crc32fast::hash(format!("{:?} {:?}", &shape[1..], data.dtype()).as_bytes());
        if ranks.numbers(u64::from(rest))?.iter().any(|other| *other != u64::from(rest)) {
            return Err(refused(format!("tensor {index} has another shape or type on some ranks")));
        }
        let all = ranks.gather(&bytes)?;
        let is_same = all.iter().all(|other| *other == all[0]);
        let is_constant = is_same && ranks.any(!is_counted)?;
        let (joined, rows) = match is_constant {
            true => (bytes.clone(), shape[0]),
            false => (all.concat(), rows.iter().sum::<u64>() as usize),
        };
        let joined_shape = [&[rows], &shape[1..]].concat();
        let on_device = |bytes, shape: Vec<usize>| {
            Value::from_data(TensorData::from_bytes_vec(bytes, shape, data.dtype()), &value.device())
        };
        share.push(on_device(bytes, shape));
        whole.push(on_device(joined, joined_shape));
    }
    for (index, number) in batch.numbers() {
        if ranks.numbers(number.to_bits())?.iter().any(|&other| other != number.to_bits()) {
            return Err(refused(format!("number {index} differs from rank to rank")));
        }
    }
    match (batch.with_tensors(share), batch.with_tensors(whole)) {
        (Some(share), Some(whole)) => Ok(Joined { share: share.like_share(batch), whole }),
        _ => Err(refused("its `map` visits other tensors every time that it is called".to_owned())),
    }
}

/// A random draw on a share, and on all examples: that of every rank along the dimension that grows with the examples, or that of
/// rank 0 where none does.
pub(super) fn join_draw(
    ranks: &Ranks,
    subject: &Subject<'_>,
    own: &Draw,
    all: &Draw,
) -> Result<(Value, Value), EngineError> {
    let refused = |reason: &str| {
        let reason = format!("a random draw of shape {:?} {reason}", all.shape);
        EngineError::Shard(ShardError::NotJoinable { level: subject.name().into(), reason })
    };
    let data = own.value(subject.seed).to_data()?;
    let parts = ranks.gather(data.as_bytes())?;
    let value = |bytes: Vec<u8>, shape: &[usize]| {
        Value::from_data(TensorData::from_bytes_vec(bytes, shape.to_vec(), data.dtype()), &Device::flex())
    };
    if own.shape.len() != all.shape.len() {
        return Err(refused("has another rank on a share"));
    }
    let grows: Vec<usize> = (0..own.shape.len()).filter(|&axis| own.shape[axis] != all.shape[axis]).collect();
    let Some(&axis) = grows.first() else {
        return Ok((value(parts[0].clone(), &own.shape), value(parts[0].clone(), &all.shape)));
    };
    let sizes = ranks.numbers(own.shape[axis] as u64)?;
    if grows.len() > 1 || sizes.iter().sum::<u64>() != all.shape[axis] as u64 {
        return Err(refused("does not grow with the examples"));
    }
    let before: usize = own.shape[..axis].iter().product();
    let joined = (0..before).flat_map(|row| {
        parts.iter().flat_map(move |part| {
            let length = part.len() / before;
            part[row * length..(row + 1) * length].iter().copied()
        })
    });
    Ok((value(data.as_bytes().to_vec(), &own.shape), value(joined.collect(), &all.shape)))
}
