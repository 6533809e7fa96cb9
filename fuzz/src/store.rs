//! Datasets made to harm: whoever reads them gets an error or the rows, within the limits.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

use gimlet_store::{Compression, CompressionSetting, Dataset, Limits, Result, Store};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::memory;
use crate::support;
use crate::tree::{self, Tree};

/// What the files of a hostile dataset may cost here.
pub const LIMITS: Limits = Limits { record: 1 << 20, index: 1 << 20, page: 1 << 16 };

/// What it takes whatever the files say: pages read in one go, the schema in the forms of Arrow and
/// Parquet, buffers for hashing, decompression, errors and paths.
const ANYWAY: u64 = 3 << 20;

/// The most that reading may take: pages lie there as read, decompressed, and as f32, which is up to
/// four times as long.
const MOST: u64 = LIMITS.record + 2 * LIMITS.index + 6 * LIMITS.page + ANYWAY;

/// A dataset with one generation, whose second part is there to be replaced.
pub struct Fixture {
    dataset: Dataset,
    manifest_file: PathBuf,
    part_file: PathBuf,
    manifest: Value,
    part: Vec<u8>,
    pages_end: usize,
    pages: Vec<Range<usize>>,
    _folder: TempDir,
}

impl Fixture {
    pub fn new(compression: Compression) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the dataset");
        let dataset = Store::new().dataset(folder.path()).with_limits(LIMITS);
        let mut spec = support::spec(support::schema(), 5, 3);
        spec.compression = CompressionSetting::Fixed(compression);
        let generation = support::generation(&dataset, spec, 9, 9);
        let manifest_file = folder.path().join("00000001.json");
        let part_file = generation.dir().path().join("part-00001.parquet");
        let manifest: Value =
            serde_json::from_slice(&fs::read(&manifest_file).expect("the manifest")).expect("JSON");
        let part = fs::read(&part_file).expect("the part");
        let pages_end = generation.manifest().parts[1].index_offset as usize;
        let pages = pages(&part, pages_end);
        Self {
            dataset,
            manifest_file,
            part_file,
            manifest,
            part,
            pages_end,
            pages,
            _folder: folder,
        }
    }

    /// The manifest as it was written.
    pub fn manifest(&self) -> &Value {
        &self.manifest
    }

    /// Where the pages of the part end: then come offset indexes and footer, as written.
    pub fn index(&self) -> (usize, &[u8]) {
        (self.pages_end, &self.part[self.pages_end..])
    }

    /// The part up to its index, as written.
    pub fn pages(&self) -> &[u8] {
        &self.part[..self.pages_end]
    }

    /// Where each page lies, header and all.
    pub fn page_ranges(&self) -> &[Range<usize>] {
        &self.pages
    }

    /// Reads it all.
    pub fn read(&self) -> Result<()> {
        let (read, most) = memory::peak(|| read_everything(&self.dataset));
        assert!(most <= MOST, "{most} bytes of memory, {MOST} allowed; it said {read:?}");
        read
    }

    /// Reads the dataset with another manifest.
    pub fn read_with_manifest(&self, manifest: &[u8]) -> Result<()> {
        overwrite(&self.part_file, &self.part);
        overwrite(&self.manifest_file, manifest);
        self.read()
    }

    /// Reads the dataset with another end of its part: offset indexes and footer. The manifest has
    /// the BLAKE3 of it.
    pub fn read_with_index(&self, index: &[u8]) -> Result<()> {
        self.read_with_part([self.pages(), index].concat())
    }

    /// Reads the dataset with other pages, as long as those that were: each has the CRC-32 of its
    /// bytes, and the manifest the BLAKE3 of all.
    pub fn read_with_pages(&self, pages: &[u8]) -> Result<()> {
        let mut part = self.part.clone();
        let length = pages.len().min(self.pages_end);
        part[..length].copy_from_slice(&pages[..length]);
        self.pages.iter().for_each(|page| mend_crc(&mut part[page.clone()]));
        self.read_with_part(part)
    }

    fn read_with_part(&self, part: Vec<u8>) -> Result<()> {
        let hash = |bytes: &[u8]| blake3::hash(bytes).to_hex().to_string();
        let mut manifest = self.manifest.clone();
        let entry = &mut manifest["parts"][1];
        entry["bytes"] = json!(part.len());
        entry["blake3"] = json!(hash(&part));
        entry["index_blake3"] = json!(hash(&part[self.pages_end..]));
        overwrite(&self.part_file, &part);
        overwrite(&self.manifest_file, manifest.to_string().as_bytes());
        self.read()
    }
}

/// Writes a file over what it was. A file that is emptied first and then closed is written to the
/// disk at once by some file systems, which takes a millisecond.
fn overwrite(path: &Path, bytes: &[u8]) {
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        file.write_all(bytes)?;
        file.set_len(bytes.len() as u64)
    };
    write().expect("the file is written");
}

/// A dataset for each compression.
pub struct Fixtures(pub [Fixture; 3]);

impl Fixtures {
    pub fn new() -> Self {
        Self([Compression::None, Compression::Lz4, Compression::Zstd].map(Fixture::new))
    }

    /// [`Fixture::read_with_pages`]; the first byte says how they are compressed.
    pub fn read_with_pages(&self, bytes: &[u8]) -> Result<()> {
        let Some((compression, pages)) = bytes.split_first() else { return Ok(()) };
        self.0[usize::from(*compression) % 3].read_with_pages(pages)
    }
}

/// The keys, every column row by row and at once, and what `verify` finds.
fn read_everything(dataset: &Dataset) -> Result<()> {
    let Some(generation) = dataset.newest()? else { return Ok(()) };
    let columns = &generation.manifest().schema.columns;
    let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
    let reader = generation.reader(&names)?;
    reader.keys()?;
    for column in columns {
        let mut row = vec![0.0; column.values()];
        for position in 0..reader.rows() {
            reader.read_f32(&column.name, &[position], &mut row)?;
        }
        drop(row);
        let positions: Vec<u64> = (0..reader.rows().min(8)).collect();
        let mut rows = vec![0.0; positions.len() * column.values().min(1 << 10)];
        if column.values() <= 1 << 10 {
            reader.read_f32(&column.name, &positions, &mut rows)?;
        }
    }
    generation.verify()
}

/// Where the pages of a part lie, as its own footer says.
fn pages(part: &[u8], pages_end: usize) -> Vec<Range<usize>> {
    let mut pages = Vec::new();
    let mut footer = tree::footer(&part[pages_end..]).expect("a footer");
    for group in footer.field(4).elements() {
        for chunk in group.field(1).elements() {
            let at = chunk.field(4).number() as usize;
            let (mut index, _) = Tree::read(&part[at..]).expect("an offset index");
            for page in index.field(1).elements() {
                let start = page.field(1).number() as usize;
                pages.push(start..start + page.field(2).number() as usize);
            }
        }
    }
    pages
}

/// Sets the CRC-32 in the header of a page to that of its bytes, where there is a header, and room
/// for the number.
fn mend_crc(page: &mut [u8]) {
    let Some((mut header, body)) = Tree::read(page) else { return };
    let Tree::Struct(fields) = &mut header else { return };
    let length = page.len() - body.len();
    for (number, value) in fields {
        if let (4, Tree::Number(_, crc)) = (number, value) {
            *crc = i64::from(crc32(body) as i32);
        }
    }
    let mended = header.write();
    if mended.len() == length {
        page[..length].copy_from_slice(&mended);
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ ((crc & 1) * 0xedb8_8320))
    })
}
