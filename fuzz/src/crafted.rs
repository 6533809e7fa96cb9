//! Cases made by hand, from the files as they are written today. Those called `fine_…` are no
//! damage.

use serde_json::{Value, json};

use crate::store::{Fixture, Fixtures};
use crate::tree::{self, BINARY, I32, I64, LIST, STRUCT, Tree};

type Cases = Vec<(String, Vec<u8>)>;

/// Manifests.
pub fn manifests(fixture: &Fixture) -> Cases {
    let whole = fixture.manifest();
    let text = whole.to_string();
    let mut cases: Cases = Vec::new();
    let mut add = |name: &str, bytes: &[u8]| cases.push((name.to_owned(), bytes.to_vec()));
    add("fine_as_written", text.as_bytes());
    add("empty", b"");
    add("truncated", &text.as_bytes()[..text.len() / 2]);
    add("null", b"null");
    add("a_number", b"1e309");
    add("nul_bytes", &[0; 64]);
    add("not_utf8", b"{\"key\":\"\xff\xfe\"}");
    add("utf16", &text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
    add("byte_order_mark", format!("\u{feff}{text}").as_bytes());
    add("two_objects", format!("{text}{text}").as_bytes());
    add("deep_arrays", "[".repeat(4096).as_bytes());
    add("deep_objects", "{\"settings\":".repeat(512).as_bytes());
    let doubled = text.replacen("\"rows\":9", "\"rows\":9,\"rows\":9", 1);
    add("duplicate_key", doubled.as_bytes());
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    add("deep_settings", text.replace("{\"seed\":1}", &deep).as_bytes());
    // Ten bytes of text for a map of hundreds.
    let maps = format!("[{}1]", "{\"\":0},".repeat(20_000));
    add("costly_settings", text.replace("{\"seed\":1}", &maps).as_bytes());
    add("longer_than_the_limit", format!("{text}{}", " ".repeat(2 << 20)).as_bytes());
    add("nan", text.replacen("\"rows\":9", "\"rows\":NaN", 1).as_bytes());
    let too_large = text.replacen("\"rows\":9", "\"rows\":18446744073709551616", 1);
    add("more_than_64_bits", too_large.as_bytes());

    let mut edit = |name: &str, place: &str, value: Value| {
        let mut manifest = whole.clone();
        *manifest.pointer_mut(place).unwrap_or_else(|| panic!("{place}")) = value;
        cases.push((name.to_owned(), manifest.to_string().into_bytes()));
    };
    edit("fine_other_settings", "/settings", json!([1, { "deep": [[[[]]]] }]));
    edit("file_above", "/parts/1/file", json!("../part-00001.parquet"));
    edit("file_absolute", "/parts/1/file", json!("/etc/passwd"));
    edit("file_with_nul", "/parts/1/file", json!("part-00001.parquet\0"));
    edit("file_of_another_part", "/parts/1/file", json!("part-00000.parquet"));
    edit("file_with_backslashes", "/parts/1/file", json!("..\\part-00001.parquet"));
    edit("file_empty", "/parts/1/file", json!(""));
    edit("key_above", "/key", json!(format!("../../../../../../{}", "0".repeat(46))));
    edit("key_upper_case", "/key", json!("A".repeat(64)));
    edit("key_in_other_letters", "/key", json!("é".repeat(32)));
    edit("key_of_another_run", "/key", json!("0".repeat(64)));
    edit("rows_most", "/parts/1/rows", json!(u64::MAX));
    edit("rows_sum_overflows", "/rows", json!(u64::MAX));
    edit("rows_none", "/parts/1/rows", json!(0));
    edit("rows_negative", "/parts/1/rows", json!(-1));
    edit("rows_fraction", "/parts/1/rows", json!(4.5));
    edit("rows_text", "/parts/1/rows", json!("4"));
    edit("bytes_most", "/parts/1/bytes", json!(u64::MAX));
    edit("bytes_none", "/parts/1/bytes", json!(0));
    edit("index_at_the_start", "/parts/1/index_offset", json!(0));
    edit("index_after_the_end", "/parts/1/index_offset", json!(u64::MAX));
    edit("blake3_short", "/parts/1/blake3", json!("00"));
    edit("blake3_of_another_file", "/parts/1/index_blake3", json!("0".repeat(64)));
    edit("parts_none", "/parts", json!([]));
    edit("parts_text", "/parts", json!("part-00000.parquet"));
    edit("shape_turned", "/schema/columns/0/shape", json!([5, 2, 3]));
    edit("shape_smaller", "/schema/columns/0/shape", json!([3, 2, 4]));
    edit("shape_empty", "/schema/columns/0/shape", json!([]));
    edit("shape_of_zero", "/schema/columns/0/shape", json!([3, 0, 5]));
    edit("shape_overflows", "/schema/columns/0/shape", json!([1_u64 << 32, 1_u64 << 32, 2]));
    edit("shape_huge", "/schema/columns/0/shape", json!([1 << 14, 1 << 14]));
    edit("shape_of_ones", "/schema/columns/0/shape", json!(vec![1; 1000]));
    edit("dtype_other", "/schema/columns/0/dtype", json!("f32"));
    edit("dtype_unknown", "/schema/columns/0/dtype", json!("f64"));
    edit("dims_too_few", "/schema/columns/0/dims", json!(["h"]));
    edit("column_called_id", "/schema/columns/0/name", json!("id"));
    edit("column_called_above", "/schema/columns/0/name", json!("../x"));
    edit("columns_alike", "/schema/columns/1/name", whole["schema"]["columns"][0]["name"].clone());
    edit("columns_none", "/schema/columns", json!([]));
    edit(
        "columns_many",
        "/schema/columns",
        vec![whole["schema"]["columns"][1].clone(); 300].into(),
    );
    // One byte a row: the pages of the part would hold them.
    let names: Vec<String> = (0..150).map(|number| format!("column_{number}")).collect();
    let column = |name: &String| json!({ "name": name, "dtype": "u8", "shape": [1], "dims": [] });
    let statistics = whole["statistics"].as_object().and_then(|all| all.values().next());
    let mut many = whole.clone();
    many["schema"]["columns"] = names.iter().map(column).collect();
    many["statistics"] = names.iter().map(|name| (name.clone(), statistics.cloned())).collect();
    edit("columns_of_another_schema", "", many);
    edit("source_missing", "/schema/source", json!(false));
    let long = vec!["a name that is said again in many forms".repeat(100); 30];
    edit("labels_long", "/schema/label_names", json!(long));
    edit("labels_other", "/schema/label_names", json!(["dog", "cat"]));
    edit("statistics_none", "/statistics", json!({}));
    edit("version_next", "/format_version", json!(999));
    edit("version_none", "/format_version", json!(0));
    cases
}

/// Ends of a part: offset indexes and footer.
pub fn indexes(fixture: &Fixture) -> Cases {
    let (start, whole) = fixture.index();
    let start = start as i64;
    let tree = tree::footer(whole).expect("a footer");
    let mut cases: Cases = Vec::new();
    let mut add = |name: &str, bytes: Vec<u8>| cases.push((name.to_owned(), bytes));
    let length = whole.len();
    let with_length = |footer: u32| [&whole[..length - 8], &footer.to_le_bytes(), b"PAR1"].concat();
    add("fine_as_written", whole.to_vec());
    add("fine_written_again", tree::with_footer(whole, &tree.write()));
    add("empty", Vec::new());
    add("only_magic", b"PAR1".to_vec());
    add("truncated", whole[..length / 2].to_vec());
    add("truncated_by_one", whole[..length - 1].to_vec());
    add("zeros", vec![0; length]);
    add("encrypted_footer", [&whole[..length - 4], b"PARE"].concat());
    add("footer_of_no_bytes", with_length(0));
    add("footer_longer_than_all", with_length(length as u32));
    add("footer_of_4_gib", with_length(u32::MAX));
    add("fine_index_twice", [whole, whole].concat());
    add("longer_than_its_rows", [&vec![0; 1 << 18], whole].concat());

    let mut edit = |name: &str, change: &dyn Fn(&mut Tree)| {
        let mut tree = tree.clone();
        change(&mut tree);
        cases.push((name.to_owned(), tree::with_footer(whole, &tree.write())));
    };
    // A list of a type that claims to have so many elements.
    let list = |kind: u8, count: u64| {
        let mut raw = Vec::new();
        tree::list_header(kind, count, &mut raw);
        Tree::Raw(LIST, raw)
    };
    let most = i32::MAX as u64;
    edit("row_groups_claimed", &|tree| *tree.field(4) = list(STRUCT, most));
    edit("row_groups_claimed_64_bits", &|tree| *tree.field(4) = list(STRUCT, u64::MAX));
    edit("row_groups_empty_structs", &|tree| {
        *tree.field(4) = Tree::List(STRUCT, vec![Tree::Struct(vec![]); 4000]);
    });
    edit("row_groups_of_numbers", &|tree| {
        *tree.field(4) = Tree::List(I64, vec![Tree::Number(I64, 1)])
    });
    edit("row_groups_none", &|tree| *tree.field(4) = Tree::List(STRUCT, vec![]));
    edit("row_groups_twice", &|tree| {
        let groups = tree.field(4).elements();
        groups.extend(groups.clone());
    });
    edit("row_groups_missing", &|tree| {
        let Tree::Struct(fields) = tree else { return };
        fields.retain(|(number, _)| *number != 4);
    });
    for (name, rows) in
        [("none", 0), ("one_more", 4), ("negative", -1), ("most", i64::MAX), ("least", i64::MIN)]
    {
        edit(&format!("row_group_rows_{name}"), &|tree| {
            *group(tree).field(3) = Tree::Number(I64, rows);
        });
    }
    edit("rows_other", &|tree| *tree.field(3) = Tree::Number(I64, 5));
    edit("columns_claimed", &|tree| *group(tree).field(1) = list(STRUCT, most));
    edit("columns_one_less", &|tree| drop(group(tree).field(1).elements().pop()));
    edit("columns_one_more", &|tree| {
        let columns = group(tree).field(1).elements();
        columns.extend(columns.first().cloned());
    });
    edit("schema_claimed", &|tree| *tree.field(2) = list(STRUCT, most));
    edit("schema_children_claimed", &|tree| {
        *tree.field(2).elements()[0].field(5) = Tree::Number(I32, i32::MAX.into());
    });
    edit("schema_children_negative", &|tree| {
        *tree.field(2).elements()[0].field(5) = Tree::Number(I32, -1);
    });
    edit("schema_nested", &|tree| {
        let element = |name: &str| {
            Tree::Struct(vec![
                (3, Tree::Number(I32, 0)),
                (4, Tree::Binary(name.into())),
                (5, Tree::Number(I32, 1)),
            ])
        };
        *tree.field(2) = Tree::List(STRUCT, vec![element("a"); 1000]);
    });
    edit("schema_renamed", &|tree| {
        *tree.field(2).elements()[1].field(4) = Tree::Binary(b"key".to_vec());
    });
    edit("schema_other_type", &|tree| {
        *tree.field(2).elements()[1].field(1) = Tree::Number(I32, 1);
    });
    edit("schema_repeated", &|tree| {
        *tree.field(2).elements()[1].field(3) = Tree::Number(I32, 2);
    });
    edit("metadata_claimed", &|tree| *tree.field(5) = list(STRUCT, most));
    edit("metadata_none", &|tree| tree.field(5).elements().clear());
    edit("metadata_of_another_key", &|tree| {
        for pair in tree.field(5).elements() {
            if *pair.field(1) == Tree::Binary(b"gimlet.key".to_vec()) {
                *pair.field(2) = Tree::Binary(vec![b'0'; 64]);
            }
        }
    });
    edit("metadata_not_utf8", &|tree| {
        for pair in tree.field(5).elements() {
            *pair.field(2) = Tree::Binary(vec![0xff; 64]);
        }
    });
    edit("fine_text_not_utf8", &|tree| *tree.field(6) = Tree::Binary(vec![0xff; 9]));
    edit("text_claimed", &|tree| {
        let mut raw = Vec::new();
        tree::varint(u64::MAX >> 1, &mut raw);
        *tree.field(6) = Tree::Raw(BINARY, raw);
    });
    edit("fine_unknown_field", &|tree| {
        let Tree::Struct(fields) = tree else { return };
        fields.push((1000, Tree::List(STRUCT, vec![Tree::Struct(vec![(7, Tree::Flag(1))])])));
    });
    edit("field_numbers_overflow", &|tree| {
        let Tree::Struct(fields) = tree else { return };
        // The number after the highest.
        fields.push((i16::MAX, Tree::Raw(1, vec![0x11])));
    });
    edit("nested_structs", &|tree| {
        let Tree::Struct(fields) = tree else { return };
        fields.push((1000, Tree::Raw(STRUCT, vec![0x1c; 1000])));
    });
    edit("nested_lists", &|tree| {
        let Tree::Struct(fields) = tree else { return };
        fields.push((1000, Tree::Raw(LIST, vec![0x19; 1000])));
    });
    for (name, offset) in [
        ("negative", -1),
        ("most", i64::MAX),
        ("at_the_start", 0),
        ("in_the_pages", start - 1),
        ("in_the_footer", start + tree::footer_start(whole).unwrap_or(0) as i64),
    ] {
        edit(&format!("offset_index_{name}"), &|tree| {
            *chunk(tree).field(4) = Tree::Number(I64, offset);
        });
    }
    for (name, length) in [("none", 0), ("negative", -1), ("most", i32::MAX.into())] {
        edit(&format!("offset_index_length_{name}"), &|tree| {
            *chunk(tree).field(5) = Tree::Number(I32, length);
        });
    }
    edit("offset_index_of_another_column", &|tree| {
        let other = group(tree).field(1).elements()[0].clone();
        *chunk(tree) = other;
    });

    // The offset index of that column.
    let mut at = tree.clone();
    let from = (chunk(&mut at).field(4).number() - start) as usize;
    let to = from + chunk(&mut at).field(5).number() as usize;
    let (offset_index, _) = Tree::read(&whole[from..to]).expect("an offset index");
    let mut replace = |name: &str, index: Vec<u8>| {
        let mut tree = tree.clone();
        // At the end of the others, where there is room.
        let chunk = chunk(&mut tree);
        let (at, length) = (footer_at(whole), index.len());
        *chunk.field(4) = Tree::Number(I64, start + at as i64);
        *chunk.field(5) = Tree::Number(I32, length as i64);
        let with_index = [&whole[..at], &index, &whole[at..]].concat();
        cases.push((name.to_owned(), tree::with_footer(&with_index, &tree.write())));
    };
    replace("fine_offset_index_moved", offset_index.write());
    replace("offset_index_zeros", vec![0; 16]);
    replace("offset_index_truncated", offset_index.write()[..8].to_vec());
    let pages = |change: &dyn Fn(&mut Vec<Tree>)| {
        let mut index = offset_index.clone();
        change(index.field(1).elements());
        index.write()
    };
    replace("pages_claimed", Tree::Struct(vec![(1, list(STRUCT, most))]).write());
    replace("pages_none", pages(&|pages| pages.clear()));
    replace("pages_one_less", pages(&|pages| drop(pages.pop())));
    replace("pages_one_more", pages(&|pages| pages.extend(pages.first().cloned())));
    replace("pages_reversed", pages(&|pages| pages.reverse()));
    let page = |field: i16, value: i64| {
        pages(&|pages| {
            *pages[1].field(field) = Tree::Number(if field == 2 { I32 } else { I64 }, value)
        })
    };
    replace("page_offset_negative", page(1, -1));
    replace("page_offset_most", page(1, i64::MAX));
    replace("page_in_the_index", page(1, start));
    replace("page_of_another_column", page(1, 4));
    replace("page_of_no_bytes", page(2, 0));
    replace("page_length_negative", page(2, -1));
    replace("page_length_most", page(2, i32::MAX.into()));
    replace("page_row_other", page(3, 2));
    replace("page_row_most", page(3, i64::MAX));
    cases
}

/// The first row group.
fn group(tree: &mut Tree) -> &mut Tree {
    &mut tree.field(4).elements()[0]
}

/// Its last column, one of tensors.
fn chunk(tree: &mut Tree) -> &mut Tree {
    group(tree).field(1).elements().last_mut().expect("a column")
}

fn footer_at(index: &[u8]) -> usize {
    tree::footer_start(index).expect("a footer")
}

/// Pages of a part, all of them, of each compression.
pub fn pages(fixtures: &Fixtures) -> Cases {
    let mut cases = Vec::new();
    for (which, (fixture, compression)) in fixtures.0.iter().zip(["", "_lz4", "_zstd"]).enumerate()
    {
        for (name, bytes) in pages_of(fixture) {
            cases.push((format!("{name}{compression}"), [&[which as u8], &bytes[..]].concat()));
        }
    }
    cases
}

fn pages_of(fixture: &Fixture) -> Cases {
    let whole = fixture.pages();
    let mut cases: Cases = Vec::new();
    let mut add = |name: &str, bytes: Vec<u8>| cases.push((name.to_owned(), bytes));
    add("fine_as_written", whole.to_vec());
    add("zeros", vec![0; whole.len()]);
    add("ones", vec![0xff; whole.len()]);
    add("moved_by_one", [&[0], &whole[..whole.len() - 1]].concat());
    add("second_half_zeros", [&whole[..whole.len() / 2], &vec![0; whole.len() / 2]].concat());
    // Headers with other numbers: whatever is claimed, the page is as long as it was.
    add(
        "type_of_dictionary",
        with_headers(fixture, &|header| {
            *header.field(1) = Tree::Number(I32, 2);
        }),
    );
    for (name, field) in [("decompressed", 2), ("length", 3)] {
        for (what, value) in [("none", 0), ("negative", -1), ("most", i32::MAX as i64)] {
            add(
                &format!("{name}_{what}"),
                with_headers(fixture, &|header| {
                    *header.field(field) = Tree::Number(I32, value);
                }),
            );
        }
    }
    for (what, value) in [("none", 0), ("negative", -1), ("most", i32::MAX as i64)] {
        add(
            &format!("values_{what}"),
            with_headers(fixture, &|header| {
                *header.field(5).field(1) = Tree::Number(I32, value);
            }),
        );
    }
    cases
}

/// The pages with their headers changed, where the page is no longer than it was: what follows the
/// header moves or loses its end.
fn with_headers(fixture: &Fixture, change: &dyn Fn(&mut Tree)) -> Vec<u8> {
    let mut bytes = fixture.pages().to_vec();
    for page in fixture.page_ranges() {
        let Some((mut header, body)) = Tree::read(&bytes[page.clone()]) else { continue };
        change(&mut header);
        let mut changed = [header.write(), body.to_vec()].concat();
        changed.resize(page.len(), 0);
        bytes[page.clone()].copy_from_slice(&changed);
    }
    bytes
}
