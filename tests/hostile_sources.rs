//! Data of others, made to harm: an error or the samples, never a panic, and no more memory than a
//! reader needs for what is there.

#[path = "../fuzz/src/memory.rs"]
mod memory;
#[path = "../fuzz/src/mutate.rs"]
#[allow(dead_code)]
mod mutate;
mod sound_files;
#[path = "../fuzz/src/tree.rs"]
#[allow(dead_code)]
mod tree;

use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Int64Array, LargeBinaryArray, ListArray, ListBuilder, RecordBatch,
    StringArray, StringBuilder, StructArray,
};
use arrow::datatypes::{DataType, Field, Int8Type, Int64Type};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flatbuffers::{FlatBufferBuilder, ForwardsUOffset};
use gimlet::Result;
use gimlet::pipeline::settings::{self, Data, Files, Medium, OnBadSample, Split};
use gimlet::source::{self, Source, decode, sound};
use image::{GrayImage, ImageFormat, RgbImage};
use mutate::Random;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding};
use parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion,
};
use sound_files::lossy::{mp3, vorbis};
use sound_files::riff::Riff;
use sound_files::{Coding, flac, hum, ogg, scaled, wav};
use tree::{I32, I64, LIST, STRUCT, Tree};

/// Mutations of each Parquet file.
const MUTATIONS: usize = 400;

/// Opens a folder or file of images.
fn open(root: &Path, train: &str) -> Result<Arc<dyn Source>> {
    open_medium(root, train, Medium::Image)
}

/// Opens a folder or file of images, or of sounds, whose Parquet files have labels of hops.
fn open_medium(root: &Path, train: &str, medium: Medium) -> Result<Arc<dyn Source>> {
    let is_parquet = train.ends_with(".parquet");
    let files = Files {
        train: vec![train.to_owned()],
        root: root.to_path_buf(),
        label: Some("label".to_owned()),
        frames: (medium == Medium::Sound && is_parquet).then(|| "frames".to_owned()),
        ..Files::of(medium, "image")
    };
    let data = Data {
        source: settings::Source::Files(files),
        subset: None,
        test_subset: None,
        on_bad_sample: OnBadSample::Fail,
    };
    source::open(&data, Split::Train, 0)
}

/// Reads all that is in a folder or file of images; gives the number of samples.
fn read(root: &Path, train: &str) -> Result<usize> {
    let source = open(root, train)?;
    let rows: Vec<usize> = (0..source.rows()).collect();
    let samples = source.read(&rows)?;
    Ok(samples.iter().filter(|sample| sample.is_ok()).count())
}

fn encoded(format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::new(16, 16).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// The decoder fails before it takes memory for pixels that the file cannot hold.
#[test]
fn images_that_claim_to_be_huge() {
    let jpeg = encoded(ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    let png = encoded(ImageFormat::Png);
    for side in [0u16, 7_700, 13_378, 16_384, 65_535] {
        let mut images = Vec::new();
        // Baseline and progressive.
        for marker in [0xc0, 0xc2] {
            let mut jpeg = jpeg.clone();
            jpeg[frame + 1] = marker;
            jpeg[frame + 5..frame + 7].copy_from_slice(&side.to_be_bytes());
            jpeg[frame + 7..frame + 9].copy_from_slice(&side.to_be_bytes());
            images.push(jpeg);
        }
        for side in [u32::from(side), u32::from(side) << 15, u32::MAX] {
            let mut png = png.clone();
            png[16..20].copy_from_slice(&side.to_be_bytes());
            png[20..24].copy_from_slice(&side.to_be_bytes());
            let crc = crc32(&png[12..29]);
            png[29..33].copy_from_slice(&crc.to_be_bytes());
            images.push(png);
        }
        for image in images {
            let (decoded, most) = memory::peak(|| decode::decode(&image).map(drop));
            assert!(most <= decode::MAX_MEMORY, "{side}: {most} bytes, {decoded:?}");
            // What is missing of a JPEG's data, its decoder makes up.
            assert!(decoded.is_err() || image[0] == 0xff && side == 7_700, "{side}");
        }
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ ((crc & 1) * 0xedb8_8320))
    })
}

/// Decodes bytes, and reads their length, within bounds: a frame of FLAC has 16 MiB at most.
fn hear(bytes: &[u8]) -> std::result::Result<usize, String> {
    let (decoded, most) = memory::peak(|| {
        let _ = sound::length(bytes);
        sound::decode(bytes).map(|sound| sound.samples.len())
    });
    assert!(most < 100 << 20, "{most} bytes of memory, {decoded:?}");
    decoded
}

/// What a header claims is not believed before the samples come.
#[test]
fn sounds_that_claim_to_be_huge() {
    let whole = wav(8_000, 1, Coding::U8, &scaled(&hum(300)));
    assert_eq!(hear(&whole), Ok(300));
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = whole.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    };
    for length in [sound::MAX_SAMPLES as u32, (1 << 31) - (1 << 20), 3 << 30] {
        // All that lies in it, and the data.
        let mut longer = with(40, &length.to_le_bytes());
        longer[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        let told = hear(&longer).unwrap_err();
        let expected =
            if length > sound::MAX_SAMPLES as u32 { "it claims" } else { "cut off: 300" };
        assert!(told.starts_with(expected), "{length}: {told}");
    }
    // A length that is not known.
    let mut streamed = with(40, &u32::MAX.to_le_bytes());
    streamed[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(hear(&streamed), Ok(300));
    for channels in [0, 27, 255, u16::MAX] {
        assert!(hear(&with(22, &channels.to_le_bytes())).is_err(), "{channels} channels");
    }
    for bits in [0u16, 7, 12, 64, u16::MAX] {
        assert!(hear(&with(34, &bits.to_le_bytes())).is_err(), "{bits} bits");
    }
    // A note that is longer than the file, before the data.
    let mut noted = with(4, &u32::MAX.to_le_bytes());
    let note =
        [b"LIST", &(u32::MAX - 90).to_le_bytes()[..], b"INFOISFT", &(1u32 << 31).to_le_bytes()];
    noted.splice(36..36, note.concat());
    assert!(hear(&noted).is_err());

    let whole = flac(8_000, 1, &hum(5_000));
    assert_eq!(hear(&whole), Ok(5_000));
    // The lower 36 bits of eight bytes in the header.
    let samples = |count: u64| {
        let mut changed = whole.clone();
        let packed = u64::from_be_bytes(changed[18..26].try_into().unwrap());
        changed[18..26].copy_from_slice(&((packed & !((1 << 36) - 1)) | count).to_be_bytes());
        changed
    };
    assert_eq!(hear(&samples(0)), Ok(5_000));
    assert_eq!(
        hear(&samples(sound::MAX_SAMPLES)).unwrap_err(),
        "cut off: 5000 of 268435456 samples"
    );
    for count in [sound::MAX_SAMPLES + 1, (1 << 36) - 1] {
        assert!(hear(&samples(count)).unwrap_err().starts_with("it claims"));
    }
    assert!(hear(&samples(4_999)).unwrap_err().contains("it has 5000 samples, and says 4999"));
    // A picture that is longer than the file.
    let mut pictured = whole.clone();
    pictured[4] &= 0x7f;
    let picture = [&[0x86, 0xff, 0xff, 0xff, 0, 0, 0, 3][..], &[0xff; 60]].concat();
    pictured.splice(42..42, picture);
    assert!(hear(&pictured).is_err());
}

/// Codebooks of Vorbis claim numbers that no bit is there for.
#[test]
fn vorbis_that_claims_codebooks_without_end() {
    let whole = vorbis();
    let comment = whole.windows(7).position(|it| it == b"\x03vorbis").unwrap();
    let first = &whole[28..58];
    assert!(comment > 58 && first.starts_with(b"\x01vorbis"));
    // Entries in a row of the same length, of 32 dimensions, by a table of one value each.
    let mut bits: Vec<bool> = Vec::new();
    let mut put = |number: u32, count: usize| {
        bits.extend((0..count).map(|bit| number.checked_shr(bit as u32).unwrap_or(0) & 1 == 1))
    };
    let (books, entries) = (256, 1 << 17);
    put(books - 1, 8);
    for _ in 0..books {
        put(0x0056_4342, 24);
        put(32, 16);
        put(entries, 24);
        put(1, 1);
        put(16, 5);
        put(entries, 18);
        put(1, 4);
        put(0, 32 + 32 + 4 + 1);
        put(0, 1);
    }
    let packed =
        bits.chunks(8).map(|it| it.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit)));
    let setup = [&b"\x05vorbis"[..], &packed.collect::<Vec<u8>>()].concat();
    let comment = [&b"\x03vorbis"[..], &[0; 8], &[1]].concat();
    let pages = [
        ogg::page(2, 0, 1, 0, &[first]),
        ogg::page(0, 0, 1, 1, &[&comment, &setup]),
        ogg::page(4, 9, 1, 2, &[&[0; 9]]),
    ];
    let told = hear(&pages.concat()).unwrap_err();
    assert!(told.contains("codebooks"), "{told}");
}

#[test]
fn damaged_sounds() {
    let mut random = Random(6);
    let long = hum(3_000);
    let stereo: Vec<i16> = long.iter().flat_map(|it| [*it, it / 2]).collect();
    let sounds = [
        wav(8_000, 1, Coding::I16, &scaled(&long)),
        wav(44_100, 2, Coding::F32, &scaled(&stereo)),
        wav(8_000, 2, Coding::I24, &scaled(&stereo)),
        flac(16_000, 1, &long),
        flac(16_000, 2, &stereo),
        ogg::of_flac(&flac(16_000, 1, &long), 3_000),
        Riff::of(&long).rf64(6_000),
        mp3(),
        vorbis(),
    ];
    for whole in &sounds {
        assert!([Ok(1_200), Ok(3_000)].contains(&hear(whole)));
        let header = &whole[..60];
        for case in 0..5 * MUTATIONS {
            let bytes = match case % 2 {
                0 => mutate::bytes(&mut random, whole, random_of(&sounds, case)),
                // Where it matters most.
                _ => [&mutate::bytes(&mut random, header, header)[..], &whole[60..]].concat(),
            };
            if let Ok(samples) = hear(&bytes) {
                assert!(samples > 0);
            }
        }
    }
}

fn random_of(sounds: &[Vec<u8>], case: usize) -> &[u8] {
    &sounds[case / 2 % sounds.len()]
}

/// A folder that a link leads round in, and a file that is none.
#[cfg(unix)]
#[test]
fn folders_that_do_not_end() {
    use std::os::unix::fs::symlink;

    let folder = tempfile::tempdir().unwrap();
    let class = folder.path().join("train/class");
    fs::create_dir_all(&class).unwrap();
    symlink("/dev/zero", class.join("a.png")).unwrap();
    assert!(read(folder.path(), "train").is_err());
    fs::remove_file(class.join("a.png")).unwrap();
    GrayImage::new(4, 4).save(class.join("a.png")).unwrap();
    assert_eq!(read(folder.path(), "train").unwrap(), 1);
    symlink("..", class.join("up")).unwrap();
    assert!(read(folder.path(), "train").is_err());
}

/// Fifteen folders, each with thirty links to the next: more paths than there is memory for.
#[cfg(unix)]
#[test]
fn folders_that_links_multiply() {
    use std::os::unix::fs::symlink;

    let folder = tempfile::tempdir().unwrap();
    let class = folder.path().join("train/class");
    fs::create_dir_all(&class).unwrap();
    for number in 0..15 {
        let at = folder.path().join(number.to_string());
        fs::create_dir(&at).unwrap();
        for link in 0..30 {
            symlink(format!("../{}", number + 1), at.join(link.to_string())).unwrap();
        }
    }
    fs::create_dir(folder.path().join("15")).unwrap();
    GrayImage::new(4, 4).save(folder.path().join("15/a.png")).unwrap();
    symlink("../../15", class.join("linked")).unwrap();
    assert_eq!(read(folder.path(), "train").unwrap(), 1);
    symlink("../../1", class.join("links")).unwrap();
    assert!(read(folder.path(), "train").is_err());
}

/// What is opened and is no file would be waited for, or never end.
#[cfg(unix)]
#[test]
fn pipes_and_devices() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use std::os::unix::fs::symlink;

    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("train/class")).unwrap();
    for name in ["train.parquet", "train/class/a.png", "train/class/a.wav"] {
        let path = folder.path().join(name);
        let train = name.split('/').next().unwrap();
        for device in [None, Some("/dev/zero"), Some("/dev/null")] {
            match device {
                None => mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap(),
                Some(device) => symlink(device, &path).unwrap(),
            }
            let medium = if name.ends_with("wav") { Medium::Sound } else { Medium::Image };
            let source = || open_medium(folder.path(), train, medium);
            let error = source().and_then(|source| source.read(&[0])).unwrap_err().to_string();
            assert!(error.contains("not a plain file"), "{name}: {error}");
            let size = source().and_then(|source| match medium {
                Medium::Image => source.first_size().map(|_| ()),
                Medium::Sound => source.lengths(&[0]).map(|_| ()),
            });
            assert!(size.is_err(), "{name}");
            fs::remove_file(&path).unwrap();
        }
    }
}

/// Ten images, in two row groups, compressed.
fn parquet() -> Vec<u8> {
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
    let labels = StringArray::from_iter_values((0..10).map(|row| format!("class {}", row % 3)));
    parquet_of(Arc::new(images()), Arc::new(labels), properties)
}

fn images() -> BinaryArray {
    BinaryArray::from_iter_values((0..10).map(|_| encoded(ImageFormat::Png)))
}

fn parquet_of(image: ArrayRef, label: ArrayRef, properties: WriterPropertiesBuilder) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter([("image", image), ("label", label)]).unwrap();
    let properties = properties.set_max_row_group_row_count(Some(6)).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

/// That file, and ones with other kinds of pages and columns.
fn parquets() -> Vec<Vec<u8>> {
    let field = |name, kind| Arc::new(Field::new(name, kind, true));
    let paths = StringArray::from_iter((0..10).map(|row| (row > 2).then(|| format!("{row}.png"))));
    let image: ArrayRef = Arc::new(StructArray::from(vec![
        (field("bytes", DataType::Binary), Arc::new(images()) as ArrayRef),
        (field("path", DataType::Utf8), Arc::new(paths)),
    ]));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values((0..10).map(|row| row % 3)));
    let text: ArrayRef = Arc::new(StringArray::from(vec!["a long name of a class"; 10]));
    let newer = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_compression(Compression::ZSTD(Default::default()));
    let deltas = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::DELTA_BYTE_ARRAY)
        .set_compression(Compression::UNCOMPRESSED);
    vec![parquet(), parquet_of(image, numbers, newer), parquet_of(Arc::new(images()), text, deltas)]
}

/// Reads a file, within bounds: what METADATA_MEMORY in the guard allows, and a little.
fn read_file(root: &Path, bytes: &[u8]) -> Result<usize> {
    fs::write(root.join("train.parquet"), bytes).unwrap();
    let (read, most) = memory::peak(|| read(root, "train.parquet"));
    assert!(most < 300 << 20, "{most} bytes of memory, {read:?}");
    read
}

#[test]
fn parquet_files_that_claim_too_much() {
    let folder = tempfile::tempdir().unwrap();
    let whole = parquet();
    assert_eq!(read_file(folder.path(), &whole).unwrap(), 10);
    let footer = tree::footer(&whole).unwrap();
    assert_eq!(read_file(folder.path(), &tree::with_footer(&whole, &footer.write())).unwrap(), 10);

    let list = |kind: u8, count: u64| {
        let mut raw = Vec::new();
        tree::list_header(kind, count, &mut raw);
        Tree::Raw(LIST, raw)
    };
    let most = i32::MAX as u64;
    type Change<'a> = (&'a str, Box<dyn Fn(&mut Tree) + 'a>);
    let changes: Vec<Change> = vec![
        ("row groups", Box::new(|tree| *tree.field(4) = list(STRUCT, most))),
        (
            "row groups of no bytes",
            Box::new(|tree| {
                *tree.field(4) = Tree::List(STRUCT, vec![Tree::Struct(vec![]); 2_000_000]);
            }),
        ),
        ("schema", Box::new(|tree| *tree.field(2) = list(STRUCT, most))),
        ("metadata", Box::new(|tree| *tree.field(5) = list(STRUCT, most))),
        (
            "children",
            Box::new(|tree| {
                *tree.field(2).elements()[0].field(5) = Tree::Number(I32, most as i64);
            }),
        ),
        (
            "nested schema",
            Box::new(|tree| {
                let element = Tree::Struct(vec![
                    (3, Tree::Number(I32, 0)),
                    (4, Tree::Binary(b"a".to_vec())),
                    (5, Tree::Number(I32, 1)),
                ]);
                *tree.field(2) = Tree::List(STRUCT, vec![element; 9_999]);
            }),
        ),
        (
            "rows",
            Box::new(|tree| {
                *tree.field(3) = Tree::Number(I64, 1 << 60);
                *tree.field(4).elements()[0].field(3) = Tree::Number(I64, (1 << 60) - 4);
            }),
        ),
        (
            "rows that overflow",
            Box::new(|tree| {
                for group in tree.field(4).elements() {
                    *group.field(3) = Tree::Number(I64, i64::MAX);
                }
            }),
        ),
        (
            "negative rows",
            Box::new(|tree| {
                *tree.field(4).elements()[0].field(3) = Tree::Number(I64, -1);
            }),
        ),
        (
            "index beyond the end",
            Box::new(|tree| {
                *chunk(tree).field(4) = Tree::Number(I64, i64::MAX);
            }),
        ),
        ("index of all", Box::new(|tree| *chunk(tree).field(4) = Tree::Number(I64, 0))),
        (
            "negative start",
            Box::new(|tree| {
                *chunk(tree).field(3).field(11) = Tree::Number(I64, -1);
            }),
        ),
        (
            "long column",
            Box::new(|tree| {
                *chunk(tree).field(3).field(7) = Tree::Number(I64, i64::MAX);
            }),
        ),
    ];
    for (name, change) in changes {
        let mut tree = footer.clone();
        change(&mut tree);
        let read = read_file(folder.path(), &tree::with_footer(&whole, &tree.write()));
        assert!(read.is_err(), "{name}: {read:?}");
    }
    let mut longer = whole.clone();
    let end = longer.len() - 8;
    longer[end..end + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(read_file(folder.path(), &longer).is_err());

    // An offset index that claims pages, and a page that claims bytes, where there is room: before
    // the footer.
    let at = tree::footer_start(&whole).unwrap();
    let index = Tree::Struct(vec![(1, list(STRUCT, most))]).write();
    let header = Tree::Struct(vec![
        (1, Tree::Number(I32, 0)),
        (2, Tree::Number(I32, i32::MAX.into())),
        (3, Tree::Number(I32, 16)),
        (5, Tree::Struct((1..5).map(|field| (field, Tree::Number(I32, 3))).collect())),
    ]);
    let page = [header.write(), vec![0; 16]].concat();
    for (new, with_index) in [(&index, true), (&page, false)] {
        let mut tree = footer.clone();
        let chunk = chunk(&mut tree);
        if with_index {
            *chunk.field(4) = Tree::Number(I64, at as i64);
            *chunk.field(5) = Tree::Number(I32, new.len() as i64);
        } else {
            let Tree::Struct(fields) = &mut *chunk else { unreachable!() };
            fields.retain(|(number, _)| *number < 4);
            let column = chunk.field(3);
            let Tree::Struct(fields) = &mut *column else { unreachable!() };
            fields.retain(|(number, _)| *number != 11);
            *column.field(9) = Tree::Number(I64, at as i64);
            *column.field(7) = Tree::Number(I64, new.len() as i64);
        }
        let bytes = [&whole[..at], new, &whole[at..]].concat();
        let error =
            read_file(folder.path(), &tree::with_footer(&bytes, &tree.write())).unwrap_err();
        if !with_index {
            // An honest file may have such a page: it is not called damaged.
            assert!(error.to_string().contains("more than the 1073741824"), "{error}");
            assert!(error.hint_text().unwrap().contains("row_group_size=100"), "{error}");
        }
    }
    for (codec, told) in [(3, "compressed by LZO, which is not built in"), (9, "in way 9")] {
        let mut tree = footer.clone();
        *chunk(&mut tree).field(3).field(4) = Tree::Number(I32, codec);
        let read = read_file(folder.path(), &tree::with_footer(&whole, &tree.write()));
        let error = read.unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        assert!(error.hint_text().unwrap().contains("zstd, snappy, gzip"), "{error}");
    }
}

/// The first column of the first row group, that of the images.
fn chunk(tree: &mut Tree) -> &mut Tree {
    &mut tree.field(4).elements()[0].field(1).elements()[0]
}

/// A row of the columns `image` and `label` as often as asked for, compressed.
fn said_again(rows: usize, image: ArrayRef, label: &str, dictionary: bool) -> Vec<u8> {
    let label: ArrayRef = Arc::new(StringArray::from(vec![label]));
    let batch = RecordBatch::try_from_iter([("image", image), ("label", label)]).unwrap();
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(Default::default()))
        .set_dictionary_enabled(dictionary)
        .set_dictionary_page_size_limit(1 << 30)
        .set_statistics_enabled(EnabledStatistics::None)
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    (0..rows).for_each(|_| writer.write(&batch).unwrap());
    writer.close().unwrap();
    bytes
}

#[test]
fn parquet_files_that_say_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.parquet");
    // 80 rows of 16 MiB, in a kilobyte where a dictionary says it once.
    let long = vec![0; 16 << 20];
    let image: ArrayRef = Arc::new(LargeBinaryArray::from_vec(vec![&long]));
    for dictionary in [true, false] {
        fs::write(&path, said_again(80, image.clone(), "a", dictionary)).unwrap();
        let (read, most) = memory::peak(|| read(folder.path(), "train.parquet"));
        // The batch, a copy of it, a page.
        assert!(most < 1400 << 20, "dictionary {dictionary}: {most} bytes, {read:?}");
        assert_eq!(read.unwrap(), 0, "no image decodes");
    }
    // A path, and a name of a class, that are kept.
    let long = "a".repeat(5 << 20);
    let image: ArrayRef = Arc::new(BinaryArray::from_vec(vec![b"x"]));
    fs::write(&path, said_again(1, image.clone(), &long, true)).unwrap();
    assert!(read(folder.path(), "train.parquet").is_err());
    let field = |name, kind| Arc::new(Field::new(name, kind, true));
    let paths: ArrayRef = Arc::new(StringArray::from(vec![long.as_str()]));
    let image: ArrayRef = Arc::new(StructArray::from(vec![
        (field("bytes", DataType::Binary), image),
        (field("path", DataType::Utf8), paths),
    ]));
    fs::write(&path, said_again(3, image, "a", true)).unwrap();
    assert!(read(folder.path(), "train.parquet").is_err());
}

/// What nobody asked for is not read, such as a list beside the bytes of an image.
#[test]
fn parquet_files_with_more_in_their_struct() {
    let folder = tempfile::tempdir().unwrap();
    let numbers = vec![Some(0); 10 << 20];
    let list = ListArray::from_iter_primitive::<Int8Type, _, _>([Some(numbers)]);
    let field =
        |name, array: &ArrayRef| Arc::new(Field::new(name, array.data_type().clone(), true));
    let list: ArrayRef = Arc::new(list);
    let bytes: ArrayRef = Arc::new(BinaryArray::from_vec(vec![&encoded(ImageFormat::Png)]));
    let paths: ArrayRef = Arc::new(list.clone());
    let image: ArrayRef = Arc::new(StructArray::from(vec![
        (field("bytes", &bytes), bytes),
        (field("more", &list), list),
        (field("path", &paths), paths),
    ]));
    let file = said_again(1, image, "a", true);
    fs::write(folder.path().join("train.parquet"), file).unwrap();
    let (read, most) = memory::peak(|| read(folder.path(), "train.parquet"));
    assert_eq!(read.unwrap(), 1);
    assert!(most < 10 << 20, "{most} bytes of memory");
}

/// A page of a few bytes that says it has values without end: in its header, or where lengths are
/// stored as deltas. The number is sought in the file, as these files are short.
#[test]
fn parquet_files_that_claim_values() {
    let folder = tempfile::tempdir().unwrap();
    let image: ArrayRef = Arc::new(BinaryArray::from_vec(vec![b"an image"; 50]));
    let label: ArrayRef = Arc::new(Int64Array::from(vec![7; 50]));
    for (encoding, lengths) in
        [(Encoding::DELTA_BYTE_ARRAY, 2), (Encoding::DELTA_LENGTH_BYTE_ARRAY, 1)]
    {
        let properties = WriterProperties::builder()
            .set_dictionary_enabled(false)
            .set_column_encoding("image".into(), encoding)
            .set_compression(Compression::UNCOMPRESSED)
            .set_max_row_group_row_count(Some(100));
        let batch =
            RecordBatch::try_from_iter([("image", image.clone()), ("label", label.clone())]);
        let batch = batch.unwrap();
        let mut whole = Vec::new();
        let mut writer =
            ArrowWriter::try_new(&mut whole, batch.schema(), Some(properties.build())).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        assert_eq!(read_file(folder.path(), &whole).unwrap(), 0);
        // 128 values in a block of 4 parts, and 50 in all.
        let starts = whole.windows(4).enumerate().filter(|(_, bytes)| *bytes == [0x80, 1, 4, 50]);
        let starts: Vec<usize> = starts.map(|(at, _)| at).collect();
        assert_eq!(starts.len(), lengths);
        for at in starts {
            // In as many bytes: 2 to the 31st, in blocks of 2 to the 14th.
            for count in [vec![0x80, 0x80, 0x80, 0x80, 8], vec![0x80, 0x80, 0x80, 0x80, 0x80, 1]] {
                let mut bytes = whole.clone();
                let end = at + 3 + count.len();
                bytes[at + 3..end].copy_from_slice(&count);
                assert!(read_file(folder.path(), &bytes).is_err());
            }
        }
    }
}

/// One field with a long name, a thousand times in an Arrow schema.
#[test]
fn parquet_files_whose_arrow_schema_refers_to_itself() {
    let mut builder = FlatBufferBuilder::new();
    let name = builder.create_string(&"a".repeat(1 << 20));
    let int = arrow_ipc::IntArgs { bitWidth: 32, is_signed: true };
    let int = arrow_ipc::Int::create(&mut builder, &int);
    let children = builder.create_vector::<ForwardsUOffset<arrow_ipc::Field>>(&[]);
    let field = arrow_ipc::FieldArgs {
        name: Some(name),
        type_type: arrow_ipc::Type::Int,
        type_: Some(int.as_union_value()),
        children: Some(children),
        ..Default::default()
    };
    let field = arrow_ipc::Field::create(&mut builder, &field);
    let fields = builder.create_vector(&[field; 1000]);
    let schema = arrow_ipc::SchemaArgs { fields: Some(fields), ..Default::default() };
    let schema = arrow_ipc::Schema::create(&mut builder, &schema);
    let message = arrow_ipc::MessageArgs {
        header_type: arrow_ipc::MessageHeader::Schema,
        header: Some(schema.as_union_value()),
        ..Default::default()
    };
    let message = arrow_ipc::Message::create(&mut builder, &message);
    builder.finish(message, None);
    let text = BASE64_STANDARD.encode(builder.finished_data());

    let folder = tempfile::tempdir().unwrap();
    let whole = parquet();
    let mut footer = tree::footer(&whole).unwrap();
    for note in footer.field(5).elements() {
        if *note.field(1) == Tree::Binary(b"ARROW:schema".to_vec()) {
            *note.field(2) = Tree::Binary(text.clone().into_bytes());
        }
    }
    let read = read_file(folder.path(), &tree::with_footer(&whole, &footer.write()));
    assert!(read.unwrap_err().to_string().contains("Arrow schema"));
}

#[test]
fn damaged_parquet_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(5);
    for whole in parquets() {
        assert_eq!(read_file(folder.path(), &whole).unwrap(), 10);
        let footer = tree::footer(&whole).unwrap();
        for case in 0..MUTATIONS {
            let bytes = match case % 2 {
                0 => mutate::bytes(&mut random, &whole, &whole),
                _ => tree::with_footer(&whole, &mutate::tree(&mut random, &footer)),
            };
            let _ = read_file(folder.path(), &bytes);
        }
        for length in (0..whole.len()).step_by(7) {
            assert!(read_file(folder.path(), &whole[..length]).is_err(), "cut to {length} bytes");
        }
    }
}

/// Sounds with lists of labels of hops, as numbers or text.
fn parquets_of_sounds() -> Vec<Vec<u8>> {
    let numbers: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(
        (0..10).map(|row| Some((0..row * 5).map(|hop| Some(i64::from(hop) / 7)))),
    ));
    let mut names = ListBuilder::new(StringBuilder::new());
    (0..10).for_each(|row| names.append_value((0..row).map(|hop| Some(format!("class {hop}")))));
    let names: ArrayRef = Arc::new(names.finish());
    let sound = wav(8_000, 1, Coding::U8, &[0.5; 50]);
    let sounds: ArrayRef = Arc::new(BinaryArray::from_iter_values(vec![&sound; 10]));
    let labels: ArrayRef = Arc::new(Int64Array::from_iter_values(0..10));
    [numbers, names]
        .map(|frames| {
            let columns = [("image", &sounds), ("label", &labels), ("frames", &frames)];
            let columns = columns.map(|(name, column)| (name, column.clone()));
            let batch = RecordBatch::try_from_iter(columns).unwrap();
            let properties = WriterProperties::builder()
                .set_compression(Compression::UNCOMPRESSED)
                .set_max_row_group_row_count(Some(6))
                .build();
            let mut bytes = Vec::new();
            let mut writer =
                ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
            bytes
        })
        .to_vec()
}

/// A page of lists may say that it has 2 to the 24th values, which take 16 bytes each, and are copied.
const LISTS: u64 = 700 << 20;

#[test]
fn damaged_parquet_files_of_lists() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.parquet");
    let read = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let (read, most) = memory::peak(|| {
            let source = open_medium(folder.path(), "train.parquet", Medium::Sound)?;
            let rows: Vec<usize> = (0..source.rows()).collect();
            source.read(&rows).map(|samples| samples.iter().filter(|it| it.is_ok()).count())
        });
        assert!(most < LISTS, "{most} bytes of memory, {read:?}");
        read
    };
    let mut random = Random(7);
    for whole in parquets_of_sounds() {
        assert_eq!(read(&whole).unwrap(), 10);
        let footer = tree::footer(&whole).unwrap();
        for case in 0..MUTATIONS {
            let bytes = match case % 2 {
                0 => mutate::bytes(&mut random, &whole, &whole),
                _ => tree::with_footer(&whole, &mutate::tree(&mut random, &footer)),
            };
            let _ = read(&bytes);
        }
    }
}
