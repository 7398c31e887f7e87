//! Rows of results as CSV.

use serde::Serialize;

/// A header of the rows' field names, and a line for each row.
///
/// # Errors
/// When a row does not serialize to a flat record.
pub fn csv_table(rows: impl IntoIterator<Item = impl Serialize>) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row)?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}
