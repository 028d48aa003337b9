//! The rules: a table, so that what is looked for can be read in one place.
//!
//! A pattern is what an attack needs and a sentence does not: the union *and* its select, the quote *and* the
//! comparison behind it. Patterns run over text in lower case with single spaces (see `canonical`), by an engine
//! without backtracking.

use std::panic::catch_unwind;

use super::{Attack, Paranoia, canonical::Canonical};

/// How much of one value the tokenizers read, in bytes.
const TOKENS_BYTES_MAX: usize = 4 * 1024;

/// What a rule looks at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// The canonical text.
    Text,
    /// The text without comments, quotes, backslashes and carets.
    Bare,
    /// Something that is no pattern.
    Sign(fn(&Canonical) -> bool),
}

impl Form {
    pub(super) const fn is_text(self) -> bool {
        matches!(self, Self::Text)
    }

    pub(super) const fn is_bare(self) -> bool {
        matches!(self, Self::Bare)
    }
}

/// One rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub name: &'static str,
    pub attack: Attack,
    pub paranoia: Paranoia,
    pub points: u32,
    pub form: Form,
    /// Free text may say it, and headers: it counts in path and query only.
    pub open_only: bool,
    pub pattern: &'static str,
}

const fn rule(name: &'static str, attack: Attack, points: u32, form: Form, pattern: &'static str) -> Rule {
    Rule {
        name,
        attack,
        paranoia: Paranoia::One,
        points,
        form,
        open_only: false,
        pattern,
    }
}

impl Rule {
    const fn from(mut self, paranoia: Paranoia) -> Self {
        self.paranoia = paranoia;
        self
    }

    const fn open_only(mut self) -> Self {
        self.open_only = true;
        self
    }
}

use Attack::{Command, Inclusion, Script, Sql, Traversal};
use Form::{Bare, Sign, Text};

/// All rules of all levels.
pub(super) const RULES: &[Rule] = &[
    // ---- SQL
    rule("sql_tokens", Sql, 4, Sign(is_sql), ""),
    rule("sql_open_quote", Sql, 1, Sign(has_open_quote), ""),
    rule("sql_union", Sql, 5, Bare, concat!(
            r"\)\s*(?:like|in|between|regexp)\s*\(|\bselect\W+(?:pg_sleep|sleep|benchmark|version|user|",
            r"database)\b|\bexec(?:ute)?\s+(?:xp|sp)\b|\b(?:utl_(?:http|inaddr|file)|dbms_\w+)\.|",
            r"\bunion\W+(?:(?:all|distinct)\W+)?(?:select|\(+select)\b|\bunion (?:all|distinct) \w+ \w+",
        )),
    rule("sql_alias", Sql, 5, Text, r"[^\w\s,.]\s*as\b\W*(?:\w+\W+){0,2}?from\b|\w\W? as\W{1,3}\w*\W* from\b").open_only(),
    rule("sql_select_list", Sql, 5, Bare,
        concat!(
            r"\bselect\b\W{1,5}(?:@@|null\b|\d+\s*(?:,|from\b|$)|[\w.`]+\s*\(|case\b|top \d|\*\s*(?:from|,|$)|",
            r"distinct [\w.]+[, ]|[\w.`]+(?:\s*,\s*[\w.`]+)+\s+from\b)",
        )),
    rule("sql_select_from", Sql, 5, Bare,
        concat!(
            r"\bselect\b.{1,100}?\bfrom\b\s*[(`]?(?:\w+\.\w|information_schema|mysql|sys\w*|pg_\w+|dual\b|",
            r"users?\b|members?\b|admin\w*|accounts\b|passw\w+|tbl\w+|msys\w+|all_tables|dba_\w+)",
        )),
    rule("sql_comparison_of_numbers", Sql, 5, Text,
        concat!(
            r#"(?:\b(?:or|and|xor|not|having|where|div)\b|\|\||&&)[\s(!~+-]*['"`]?\s*\d+\s*['"`]?\s*\)*\s*(?:=|<=>|"#,
            r#"<>|!=|<|>|\blike\b|\brlike\b|\bregexp\b|\bis not\b)[\s(]*['"`]?-?\d+"#,
        )),
    rule("sql_comparison_of_quoted", Sql, 5, Text,
        concat!(
            r#"['"`]\s*\)*\s*(?:\b(?:or|and|xor|not|having|where|div|mod|rlike|sounds like)\b|\|\||&&|\^|\|"#,
            r#")[\s(!~+@-]*['"`]?[\w%]*['"`]?\s*(?:=|<|>|!=|\blike\b|\brlike\b|\bregexp\b|\bin\s*\(|\bbetween\b|"#,
            r#"\bis (?:not )?null|--|#|/\*)"#,
        )),
    rule("sql_quoted_boolean", Sql, 5, Text,
        concat!(
            r#"['"`]\s*\)*\s*(?:\b(?:or|xor)\b|\|\||&&)\s*(?:['"`(@~!-]|true\b|false\b|not\b|\d+\s*(?:$|--|#))|"#,
            r#"['"`]\s*(?:=|<=>|<>|\*|div|\^)\s*['"`][^'"`]{0,20}$"#,
        )),
    rule("sql_quoted_equals", Sql, 5, Text, concat!(
            r#"['"`]\s*\w+\s*['"`]\s*(?:=|<|>|like)\s*['"`]\s*\w+|['"`]\s*(?:=|<=>|<>|"#,
            r#"like)\s*['"`]?\w*['"`]?\s*(?:--|#|/\*|\bor\b|\band\b|;)"#,
        )),
    rule("sql_ends_in_comment", Sql, 5, Text, concat!(
            r#"(?:^|[\w'"`(=%])['"`)]\s*(?:;\s*)?(?:--[\s+-]{0,4}$|#\s*$|/\*)|;\s*(?:--[\s+-]{0,4}$|#$)|"#,
            r#"\d\s*(?:--[\s+-]{0,4}$|#$|/\*)|--\s*sp_password"#,
        )),
    rule("sql_comment_with_version", Sql, 5, Text, r"/\*[!+]|\*/\s*(?:select|union|or|and|from|where|insert|drop)\b"),
    rule("sql_split_by_comments", Sql, 5, Text, r"\w/\*[^*]{0,40}\*/\w"),
    rule("sql_stacked", Sql, 5, Bare,
        concat!(
            r";\s*(?:drop (?:table|database|view|user|index|function|procedure)|insert into|delete from|",
            r"update \w+ set|alter (?:table|database|user|role)|create (?:table|user|database|or replace|function|",
            r"procedure)|truncate table|exec(?:ute)?\b|declare\b|shutdown\b|grant \w+|waitfor\b|select\b|",
            r"begin\b.{0,20}\bend|handler \w+ (?:open|read)|load data|call \w+|if\s*\(|set @|copy \w+ |merge into|",
            r"union)",
        )),
    rule("sql_write", Sql, 5, Bare,
        concat!(
            r"\binsert(?: \w+)? into [\w.`\[\]]+\s*(?:\(|values\b|select\b|set\b)|",
            r"\bdelete\W+from\W+[\w.]+\W+where\W+[\w.]+\W*?(?:=|<|>|like|in\b|is\b|between)|",
            r"\bdelete\W+from\W+[\w.]+\W*(?:;|--|#)|\bupdate\W+[\w.]+\W+set\W+[\w.]+\W*=|\bdrop (?:table|",
            r"database) (?:if exists )?[\w.`]+\s*(?:;|--|$)|\btruncate table \W?\w+|\balter\W+(?:table|database|",
            r"user|column|role|session|system|schema|index|view)\W+\w+.{0,80}?\b(?:add|drop|set|character|charset|",
            r"modify|change|rename|identified|alter|enable|disable|owner|engine|convert|order)\b|",
            r"\bcreate\W+(?:temporary\W+|or replace\W+)?(?:table|function|procedure|trigger|view|user|database|",
            r"index|role|schema|unique)\W+(?:if not exists\W+)?\w+\W*(?:\(|returns|as\b|is\b|identified|on\b|;|--|",
            r"before|after|for\b|$)|\bdrop\W+(?:table|database|view|user|index|function|procedure|trigger|schema|",
            r"role|column)\W+(?:if exists\W+)?\w+\W*(?:;|--|#|$|,|cascade|purge)|\bmerge\b.{1,60}\busing\s*\(",
        )),
    rule("sql_strong_function", Sql, 5, Bare,
        concat!(
            r"\b(?:benchmark|pg_sleep|sleep|load_file|extractvalue|updatexml|group_concat|concat_ws|dbms_\w+\.\w+|",
            r"utl_\w+\.\w+|sys_context|xmltype|json_\w+|xp_\w+|sp_\w+|sys_eval|sys_exec|lo_import|lo_export|",
            r"pg_read_file|pg_ls_dir|current_setting|sqlite_version|randomblob|zeroblob|load_extension|ascii|",
            r"unhex|hex|chr|char|nchar|ord|conv|substr|substring|substring_index|mid|instr|locate|position|",
            r"find_in_set|elt|make_set|export_set|if|ifnull|isnull|nullif|iif|coalesce|cast|convert|to_base64|",
            r"from_base64|aes_encrypt|aes_decrypt|des_encrypt|des_decrypt|encode|decode|md5|sha1|sha2|crc32|uuid|",
            r"version|database|schema|user|current_user|session_user|system_user|user_name|db_name|object_id|",
            r"object_name|col_name|row_count|found_rows|last_insert_id|connection_id|pi|rand|floor|round|sign|",
            r"sqrt|exp|ln|log10|log2|greatest|least|interval|name_const|polygon|multipoint|geometrycollection|",
            r"linestring|st_\w+|procedure analyse|analyse|bin|oct|bit_count|bit_and|bit_or|bit_xor|char_length|",
            r"character_length|octet_length|bit_length|length|lcase|ucase|lower|upper|ltrim|rtrim|lpad|rpad|",
            r"reverse|repeat|replace|quote|soundex|space|strcmp|curdate|curtime|sysdate|utc_time|utc_date|",
            r"from_unixtime|unix_timestamp|get_lock|release_lock|is_free_lock|is_used_lock|master_pos_wait|",
            r"inet_aton|inet_ntoa|uncompress|compress|password|old_password|waitfor|openrowset|opendatasource|",
            r"openquery|starts_with|regexp_\w+|array_agg|string_agg|xmlagg|row_to_json|count|avg|min|max|sum|std|",
            r"stddev\w*|variance|var_\w+)\s*\(\s*(?:\)|[@'\w(*-][^()]{0,60}[,)]|\w*\s*\()",
        ))
        .from(Paranoia::Two),
    rule("sql_function", Sql, 5, Bare,
        concat!(
            r"\b(?:benchmark|pg_sleep|sleep|load_file|extractvalue|updatexml|group_concat|concat_ws|dbms_\w+\.\w+|",
            r"utl_\w+\.\w+|sys_context|xmltype|xp_\w+|sp_\w+|sys_eval|sys_exec|lo_import|lo_export|pg_read_file|",
            r"pg_ls_dir|current_setting|sqlite_version|randomblob|zeroblob|load_extension|unhex|nchar|substring|",
            r"substring_index|find_in_set|make_set|export_set|ifnull|isnull|nullif|iif|coalesce|to_base64|",
            r"from_base64|aes_encrypt|aes_decrypt|des_encrypt|des_decrypt|session_user|system_user|user_name|",
            r"db_name|object_id|object_name|col_name|row_count|found_rows|last_insert_id|connection_id|name_const|",
            r"polygon|multipoint|geometrycollection|linestring|procedure analyse|bit_count|char_length|",
            r"character_length|octet_length|bit_length|from_unixtime|unix_timestamp|get_lock|release_lock|",
            r"is_free_lock|is_used_lock|master_pos_wait|inet_aton|inet_ntoa|openrowset|opendatasource|openquery|",
            r"old_password|regexp_\w+|string_agg|xmlagg|row_to_json|std|stddev\w*|utc_\w+|makedate|maketime|",
            r"date_(?:add|sub|format)|period_(?:add|diff)|sec_to_time|timestampadd|timestampdiff|weekday|",
            r"dayofweek|dayofyear|yearweek|str_to_date|time_format|time_to_sec|to_days|to_seconds|localtimestamp|",
            r"sysdate|curdate|curtime|soundex|strcmp|greatest|crc32|cot|degrees|radians|log10|log2|lcase|ucase|",
            r"lpad|rpad|ltrim|rtrim|is_ipv[46]\w*|uuid_short|json_\w+|var_(?:pop|samp)|bit_(?:and|or|xor|length)|",
            r"mid|ascii|hex|chr|ord|concat|xmltype|st_\w+|md5|sha1|sha2|elt|instr|locate)\s*\(",
        )),
    rule("sql_plain_function", Sql, 5, Text,
        concat!(
            r"\b(?:version|database|user|current_user|schema|pi|rand|uuid|now)\s*\(\s*(?:\)|$)|\b(?:cast|",
            r"convert)\s*\([^)]{1,60}\b(?:as|using|,) ?(?:int|char|varchar|signed|unsigned|numeric|decimal|text|",
            r"date|binary|utf8|latin1)\b|\b(?:count|min|max|sum|avg|char|substr|if|length|lower|upper|reverse|",
            r"repeat|replace|conv|bin|oct|quote|position|decode|encode)\s*\(\s*(?:\*|@@|[\w'`]+\s*[,)=<>]|\()",
        )),
    rule("sql_variable", Sql, 5, Text, concat!(
            r"@@(?:\w+\.)?(?:version\w*|hostname|datadir|basedir|tmpdir|servername|global|session|identity|",
            r"rowcount|spid|error|language|port|sql_mode|\w{4,})\b",
        )),
    rule("sql_catalog", Sql, 5, Bare,
        concat!(
            r"\binformation_schema\b|\bsys(?:objects|columns|users|databases|logins|obj)\b|\bsqlite_(?:master|",
            r"temp_master|schema)\b|\bpg_(?:catalog|user|shadow|database|tables|class|attribute)\b|\bmsys(?:aces|",
            r"objects|queries|relationships)\b|\ball_(?:tables|users|objects|tab_columns)\b|\buser_(?:tables|",
            r"objects|tab_columns|constraints|password|users)\b|\bdba_\w+\b|\b(?:mysql|master|msdb|tempdb|",
            r"northwind)\.\.?\w+|\bsys\.(?:all_|dba_|user|obj|tab|col|data|schema|sql|server|syn|trig|view|proc|",
            r"params|link)\w*|\b(?:schema|table|column|index|constraint|routine|trigger)_(?:names?|schema|",
            r"catalog)\b|\bschemata\b|\bv\$\w+|\bmb_users\b|\battrelid\b|\bxtype\b|\brownum\b|\bnvarchar\b",
        )),
    rule("sql_time", Sql, 5, Bare, r"\bwaitfor\W+(?:delay|time)\b|\bselect\W.{0,40}\bsleep\s*\(|\bif\s*\(.{0,60}\bsleep\b"),
    rule("sql_file", Sql, 5, Bare, concat!(
            r"\binto\W+(?:out|dump)file\b|\bload\W+data\W+(?:local\W+)?infile\b|\bbulk\W+insert\b|",
            r"\bcopy \w+ (?:from|to)\b.{0,40}(?:program|/)",
        )),
    rule("sql_exec", Sql, 5, Bare, concat!(
            r"\bexec(?:ute)?\W+(?:immediate|master|xp_|sp_|\(|@)|\bdeclare\W+@\w+|\bprocedure\W+analyse\b|",
            r"\bopen(?:rowset|query)\b|\bcreate\W+function\b.{1,40}\breturns\b",
        )),
    rule("sql_order_by", Sql, 5, Text, concat!(
            r"\b(?:order|group) by \d+(?:\s*,\s*\d+)*\s*(?:--|#|/\*|;|$)|\bhaving\b.{1,40}(?:=|<|>)|",
            r"\blimit \d+\s*(?:,|offset)\s*\d+|\bprocedure analyse|\bgroup by [\w.`]+ having\b",
        )),
    rule("sql_after_quote", Sql, 5, Text,
        concat!(
            r#"['"`]\s*\)*\s*(?:;|,|\s)\s*(?:select|insert|update|delete|drop|alter|create|truncate|union|exec|"#,
            r#"execute|declare|waitfor|having|order by|group by|limit \d|where|merge|into outfile|procedure|"#,
            r#"between \d|if\s*\()\b|['"`]\s*(?:\+|\|\|)\s*['"`(]|['"`]\s*(?:\|\||&&)\s*\w+\s*[(=]|['"`]\s*(?:and|"#,
            r#"or|where|having)\s+\w+\s*\(|['"`]\s*,\s*['"`]?\w*['"`]?\s*\)\s*(?:;|--|#|,\s*\()"#,
        )),
    rule("sql_condition", Sql, 5, Bare,
        concat!(
            r"\b(?:and|or|where|having|not|if|case when|when)\b[\s(]*(?:not )?(?:exists\s*\(|\(?\s*select\b|",
            r"ascii\s*\(|substr\w*\s*\(|length\s*\(|\w+\s*(?:not )?in\s*\(\s*(?:select|\d|@)|",
            r"\w+ is (?:not )?null\b\s*(?:--|#|and|or|;|$)|\d+ (?:not )?between \d+ and \d+|(?:not )?(?:true|",
            r"false)\s*(?:=|--|#|;|$))|\bcase\b.{0,60}\bwhen\b.{1,80}\bthen\b.{1,80}\bend\b|",
            r"\bselect\b.{0,40}\bcase\b",
        )),
    rule("sql_nulls", Sql, 5, Text, r"\bnull\s*,\s*null\b|\(\s*null\s*\)\s*(?:and|or|union)"),
    rule("sql_hex_or_char", Sql, 3, Text, concat!(
            r"\b0x[0-9a-f]{6,}\b|\bx'[0-9a-f]{4,}'|\bchar\(\d+(?:,\d+)*\)|\bchr\(\d+\)|",
            r"\b[nb]'[01]*'",
        )),
    rule("sql_operators", Sql, 5, Text,
        concat!(
            r#"(?:^|['"`\s(])(?:-?\d+|['"`])\s*(?:\|\||&&|<=>|>>|<<|div |mod |rlike |regexp |sounds like |collate |"#,
            r#"not like |not between |\^|~)\s*[-~!(]*\s*(?:['"`(]|\d+\b|null|true|false)"#,
        )).from(Paranoia::Two),
    rule("sql_document", Sql, 5, Text, concat!(
            r#"\[?\$(?:ne|eq|lte?|gte?|n?in|mod|all|size|exists|type|slice|x?or|div|like|between|and|not|where|"#,
            r#"regex|elemmatch|expr|function)\b(?:\]|\s*['"]?\s*[:=])|\bthis\.\w+\s*(?:==|!=|\.match)|"#,
            r#"\bdb\.\w+\.(?:find|drop|insert|remove|update)"#,
        )),
    rule("sql_password_column", Sql, 5, Text, concat!(
            r#"\b(?:user(?:name)?|email|login|pass(?:word|wd)?|uid|id)\s*(?:=|like|"#,
            r#"is not)\s*['"][^'"]*['"]?\s*(?:--|#|/\*|;|\bor\b|\band\b)|\bis not null\b\s*(?:--|#|;|and|or|$)"#,
        )),
    rule("sql_name_with_mark", Sql, 5, Text, r#"^[\w@.-]{0,40}['"`]\s*\)*\s*(?:--|#|;|/\*)"#),
    rule("sql_begins_as_statement", Sql, 5, Bare, concat!(
            r"^[\W\d]+\s*(?:alter|create|drop|select|delete|insert|update|truncate|rename|merge|load|desc|union|",
            r"having|grant|revoke|exec(?:ute)?|call|replace|prepare)\s+[\w@`\[(*]|^\W*(?:alter|create|",
            r"drop)\s+(?:aggregate|assembly|authorization|certificate|column|conversion|credential|database|",
            r"default|domain|endpoint|extension|external|fulltext|function|index|language|library|login|logfile|",
            r"master|materialized|operator|partition|policy|procedure|profile|queue|role|rule|schema|sequence|",
            r"server|session|synonym|system|table|tablespace|trigger|type|user|view|wrapper|xml)\b",
        )).open_only(),
    rule("sql_only_marks", Sql, 5, Text, r#"^[\W_]{0,3}=\s*(?:'|"|;|--)|^['"`][\s'"`;)#,=*|-]+$|^[)\s'"`;-]*(?:;|--)\s*$|^\*[|)(]"#).open_only(),
    rule("sql_match", Sql, 5, Bare, r"\bmatch\b\W.{0,60}\bagainst\s*\(|;\s*goto\b|\bdeclare\W+[@#]\s*\w|\bshutdown with nowait"),
    rule("number_that_overflows", Sql, 5, Text, concat!(
            r"^-?(?:2147483648|2147483647|4294967295|4294967296|4294967297|18446744073709551615|",
            r"18446744073709551616|9223372036854775808|0xffffffff|0x80000000|1e30[89]|\d\.2250738585072\d*e-30\d|",
            r"0{5,}\d{3,})$",
        )).open_only(),
    // ---- Scripts in pages
    rule("script_spaced_tag", Script, 5, Text, concat!(
            r"<[^\w<>]{0,3}(?:s[^\w<>]{0,3}c[^\w<>]{0,3}r[^\w<>]{0,3}i[^\w<>]{0,3}p[^\w<>]{0,3}t|",
            r"f[^\w<>]{0,3}o[^\w<>]{0,3}r[^\w<>]{0,3}m|s[^\w<>]{0,3}t[^\w<>]{0,3}y[^\w<>]{0,3}l[^\w<>]{0,3}e|",
            r"s[^\w<>]{0,3}v[^\w<>]{0,3}g|i[^\w<>]{0,3}f[^\w<>]{0,3}r[^\w<>]{0,3}a[^\w<>]{0,3}m[^\w<>]{0,3}e|",
            r"o[^\w<>]{0,3}b[^\w<>]{0,3}j[^\w<>]{0,3}e[^\w<>]{0,3}c[^\w<>]{0,3}t|",
            r"e[^\w<>]{0,3}m[^\w<>]{0,3}b[^\w<>]{0,3}e[^\w<>]{0,3}d|",
            r"a[^\w<>]{0,3}p[^\w<>]{0,3}p[^\w<>]{0,3}l[^\w<>]{0,3}e[^\w<>]{0,3}t|i[^\w<>]{0,3}m[^\w<>]{0,3}g|",
            r"l[^\w<>]{0,3}i[^\w<>]{0,3}n[^\w<>]{0,3}k|m[^\w<>]{0,3}e[^\w<>]{0,3}t[^\w<>]{0,3}a|",
            r"b[^\w<>]{0,3}a[^\w<>]{0,3}s[^\w<>]{0,3}e|b[^\w<>]{0,3}o[^\w<>]{0,3}d[^\w<>]{0,3}y|",
            r"v[^\w<>]{0,3}i[^\w<>]{0,3}d[^\w<>]{0,3}e[^\w<>]{0,3}o|",
            r"a[^\w<>]{0,3}u[^\w<>]{0,3}d[^\w<>]{0,3}i[^\w<>]{0,3}o|",
            r"i[^\w<>]{0,3}n[^\w<>]{0,3}p[^\w<>]{0,3}u[^\w<>]{0,3}t|",
            r"m[^\w<>]{0,3}a[^\w<>]{0,3}r[^\w<>]{0,3}q[^\w<>]{0,3}u[^\w<>]{0,3}e[^\w<>]{0,3}e)\b|1⁄4/?(?:script|",
            r"img|svg|iframe)",
        )).open_only(),
    rule("script_member", Script, 5, Text, r#"\b(?:self|document|top|window|frames|globalthis)\s*\[\s*['"\\$`/]"#),
    rule("script_tokens", Script, 4, Sign(is_script), ""),
    rule("script_tag", Script, 5, Bare, concat!(
            r"<\s*/?\s*(?:\w*:\s*)?(?:script|iframe|frameset|object|embed|applet|svg|math|meta|base|link|layer|",
            r"ilayer|bgsound|xss|isindex|marquee|portal|noscript|template|import|vmlframe|blink|style|",
            r"foreignobject|animate\w*|handler|listener|set)\b[^<]{0,1}",
        )),
    rule("script_tag_with_handler", Script, 5, Text, concat!(
            r#"<[a-z!/?][^>]{0,200}?[\s"'/`;+\x0b]on[a-z]{3,25}\s*=|<[a-z!/?][^>]{0,200}?\b(?:formaction|"#,
            r#"xlink:href|srcdoc|dynsrc|lowsrc|fscommand|seeksegmenttime)\s*="#,
        )),
    rule("script_handler", Script, 5, Text,
        concat!(
            r#"(?:^|[\s"'`/;<>,&)])on(?:abort|activate|after\w+|animation\w+|auxclick|before\w+|begin|blur|bounce|"#,
            r#"cancel|canplay\w*|cellchange|change|click|close|contextmenu|controlselect|copy|cuechange|cut|"#,
            r#"dataavailable|dataset\w+|dblclick|deactivate|drag\w*|drop|durationchange|emptied|end|ended|error\w*|"#,
            r#"filterchange|finish|focus\w*|formchange|forminput|fullscreenchange|gotpointercapture|hashchange|"#,
            r#"help|input|invalid|key(?:down|press|up)|layoutcomplete|load\w*|losecapture|message\w*|mouse\w+|"#,
            r#"move\w*|offline|online|page(?:hide|show)|paste|pause|play\w*|pointer\w+|popstate|progress|"#,
            r#"propertychange|ratechange|readystatechange|repeat|reset|resize\w*|row\w+|scroll\w*|search|seek\w*|"#,
            r#"select\w*|show|stalled|start|stop|storage|submit|suspend|timeout|timeupdate|toggle|touch\w+|"#,
            r#"transition\w+|unload|volumechange|waiting|webkit\w+|wheel|zoom)\s*=\s*[^\s=]"#,
        )),
    rule("script_scheme", Script, 5, Bare,
        concat!(
            r"\b(?:j\s*a\s*v\s*a|v\s*b|l\s*i\s*v\s*e|j)\s*s\s*c\s*r\s*i\s*p\s*t\s*:(?:\s?$|\S)|",
            r"\bdata\s*:\s*(?:text/(?:html|xml|javascript)|image/svg|application/(?:x-)?(?:javascript|xhtml)|",
            r"[\w/+-]*;base64)|\bmocha\s*:|\bview-source:|\bmhtml:",
        )),
    rule("script_attribute", Script, 5, Text,
        concat!(
            r#"<[a-z][^>]{0,200}?\b(?:src|href|action|background|data|style|poster|code|classid|codebase|content|"#,
            r#"from|to|values|by|attributename)\s*=\s*["'`]?\s*(?:[^\s>"'`]{0,20}script|data:|&|\\|//|"#,
            r#"[a-z-]+\s*:\s*(?:expression|url)|[^>]{0,60}expression\s*\()|\bexpression\s*\(|-moz-binding\s*:|"#,
            r#"\bbehaviou?r\s*:\s*url|@import\b\s*['"(u\\]|\bstyle\s*=.{0,60}\b(?:position\s*:|url\s*\(|x:|binding)"#,
        )),
    rule("script_any_tag", Script, 3, Text, concat!(
            r"<\s*(?:a|abbr|acronym|address|area|article|audio|b|bdo|big|body|br|button|canvas|center|details|",
            r"dialog|dir|div|fieldset|figure|font|form|frame|head|hr|html|i|img|image|input|keygen|li|listing|",
            r"main|map|menu|nav|ol|optgroup|option|p|param|plaintext|pre|q|select|source|span|strike|strong|",
            r"summary|table|tbody|td|textarea|tfoot|th|title|tr|track|u|ul|var|video|xml|xmp|\w+:\w+)(?:[\s/>]|$)",
        )),
    rule("script_tag_with_attribute", Script, 3, Text, r#"<[a-z][\w:-]{0,30}[\s/+][^>]{0,200}?[\w:-]+\s*=\s*["'`]?\S"#),
    rule("script_code", Script, 5, Bare,
        concat!(
            r"\b(?:document|window|top|self|parent|frames|this|globalthis)\s*(?:\.|\[)\s*(?:cookie|write(?:ln)?|",
            r"domain|location|body|forms|url|referrer|documentelement|getelement\w*|createelement|alert|prompt|",
            r"confirm|eval|name|open|onload|localstorage|sessionstorage|frames|opener|queryselector\w*|",
            r"defaultview|\[)|\b(?:eval|settimeout|setinterval|setimmediate|execscript|atob|btoa|unescape|",
            r"decodeuri\w*|importscripts|xmlhttprequest|activexobject|msgbox)\s*(?:\(|`)|\b(?:alert|prompt|",
            r"confirm|print|find)\s*(?:\(\s*(?:[\d/)]|document|this|window|origin|xss|string|\w+\))|`)|",
            r"\bstring\s*\.\s*fromcharcode|\.(?:innerhtml|outerhtml|insertadjacenthtml|parentnode|ownerdocument|",
            r"prototype|constructor|addimport)\b|\bnew\s+(?:function|image|xmlhttprequest|activexobject)\b|",
            r"\bfunction\s*\(\s*\w*\s*\)\s*\{|\blocation\s*(?:=|\.(?:href|hash|replace|assign))\s*|\.(?:source|",
            r"constructor)\s*[(.`]|\bfetch\s*\(\s*[`h/]",
        )),
    rule("script_markup", Script, 5, Text, concat!(
            r"<!(?:entity|doctype|element|attlist|\[cdata|--)|<\?(?:xml|import|xml-stylesheet)|\]\]>|",
            r"--!?>.{0,40}<|<%",
        )),
    rule("script_odd_code", Script, 5, Text, concat!(
            r#"\+adw-|\+ad4-|\[\s*\]\s*\[\s*\(?\s*!\s*\[|\(\s*!\s*\[\s*\][\s+]|!!\[\]|\[\+\[?\]?\]|"#,
            r#"[^\w\s]{2}\s*\$\s*=\s*~\s*\[|\(\s*[\w$]+\s*=\s*(?:alert|eval|prompt|confirm)\s*\)|"#,
            r#"\[\s*['"`](?:constructor|alert|eval|prompt|cookie)"#,
        )),
    rule("script_breaks_out", Script, 5, Text, concat!(
            r#"["'`]\s*/?>\s*<|["'`]\s*[;,(+*-]\s*(?:alert|eval|prompt|confirm|document|window|location|fetch)\b|"#,
            r#"\{\{.{0,80}(?:constructor|\$on|\$eval|\d\s*\*\s*\d).{0,80}\}\}"#,
        )),
    // ---- Paths
    rule("path_up", Traversal, 5, Text, 
        r"(?:^|[^.])\.\.[/\\;%]|(?:\.\.[;/\\]+){2}|(?:^|[/\\])\.\.(?:$|[?#])|(?:\.{3,4}[/\\]{1,2}){2}"),
    rule("path_windows", Traversal, 5, Text, concat!(
            r"\b[a-z]:[/\\]+(?:windows|winnt|boot|inetpub|xampp|program files|apache|php|mysql|wamp|users[/\\])|",
            r"\bglobal\.asa|[/\\](?:winnt|system32)\b|^\\\\[\w.]+\\",
        )),
    rule("path_file", Traversal, 5, Bare,
        concat!(
            r"/etc/+(?:passwd|shadow|gshadow|group|hosts\b|hostname|issue|motd|crontab|cron\.|sudoers|ssh/|ssl/|",
            r"apache2?/|httpd/|nginx/|mysql/|my\.cnf|php|fstab|mtab|profile|bash|environment|resolv|services|",
            r"inittab|init\.d|security|ftp|samba|syslog|logrotate|redhat|debian|lsb|os-release|master\.passwd|pam|",
            r"ld\.so|network/|rc\.|apt/|proftpd|exports|modules|nsswitch|aliases|opt/|snmp)|/proc/(?:self|\d+|",
            r"version|cpuinfo|cmdline|mounts|net|sched_debug|meminfo|stat|loadavg|sys)\b|\bboot\.ini\b|\b(?:win|",
            r"system|php|desktop)\.ini\b|\bsystem32\b|[/\\]winnt\b|[a-z]:[/\\]+(?:windows|winnt|boot|inetpub|",
            r"xampp|program files|apache|php|mysql|wamp|users[/\\]\w+[/\\](?:ntuser|appdata|desktop))|web-inf\b|",
            r"meta-inf\b|\bweb\.(?:config|xml)\b|\.ht(?:access|passwd|digest|group)\b|\bwp-config\b|\.(?:bash|zsh|",
            r"mysql|psql|sh|php|node_repl|python)_?history\b|\.(?:bashrc|profile|zshrc|netrc|npmrc|pgpass|my\.cnf|",
            r"ssh|aws|kube|docker|gnupg|azure|subversion|git-credentials)\b(?:/|$)|\bid_(?:rsa|dsa|ed25519|",
            r"ecdsa)\b|\bauthorized_keys\b|/\.(?:git|svn|hg|env|ds_store)\b|\bglobal\.asa|/var/(?:log|www|mail|",
            r"lib|run|spool|adm|cpanel|apache)/|/usr/(?:local|share|lib|home|pkg)/\w+/(?:conf|etc|log|php|apache)|",
            r"/(?:root|home/\w+)/\.\w|\bsam\b.{0,12}\brepair\b|/opt/(?:lampp|xampp|\w+/(?:conf|logs?)/)|",
            r"/dev/(?:null|tcp|udp|fd/|stdin|random|zero)|\bautoexec\.bat|\bconfig\.sys\b|\bnetwork/interfaces\b|",
            r"/sys/(?:class|kernel)/|\bdatabase\.yml|\bcomposer\.(?:json|lock)\b|\bserver-status\b",
        )),
    rule("path_overlong", Traversal, 5, Sign(|known| known.overlong), ""),
    rule("path_null", Traversal, 5, Sign(|known| known.null), ""),
    rule("escapes_in_escapes", Traversal, 2, Sign(|known| known.rounds >= 2), ""),
    rule("escapes_in_escapes_in_escapes", Traversal, 3, Sign(|known| known.rounds >= 3), ""),
    // ---- Commands
    rule("command_substitution", Command, 5, Bare, concat!(
            r"\$\(\s*[\w/.(<$-]|\$\{[^}]{0,10}(?:ifs|path|home|pwd|shell|@|#|!|:|/)|`\s*(?:[\w.]*/[\w/.]|\w+\s+-|",
            r"(?:id|ls|whoami|cat|uname|ps|pwd|wget|curl|ping|sleep|echo|printf|nslookup|dir|touch|env|head|tail|",
            r"bash|sh)\b)[^`]*`|<\(\s*\w|>\(\s*\w|\$ifs\b|\$\{ifs|\(\)\s*\{\s*[:_\w]|\$\(\(|\$'\\|",
            r"\$[a-z]\w*\$[a-z]",
        )),
    rule("command_name", Command, 5, Bare,
        concat!(
            r"(?:^|[;|&`\n({=!]|\$\(|&&|\|\|)\s*(?:[\w./-]*/)?(?:sudo |nohup |time |env |exec |timeout \d+ |nice |",
            r"watch |xargs |busybox |command )?(?:wget|curl|nc|ncat|netcat|nc\.\w+|bash|zsh|ksh|csh|tcsh|dash|",
            r"fish|sh|chmod|chown|chgrp|chroot|uname|ifconfig|ipconfig|netstat|whoami|nslookup|dig|ping6?|",
            r"traceroute\d?|tracepath|telnet|python\d?(?:\.\d+)?|perl|ruby|php\d?|node|lua|gcc|cc|g\+\+|tftp|scp|",
            r"sftp|rsync|ssh|sshd|ftp|lynx|links|w3m|aria2c|fetch|socat|nmap|tcpdump|iptables|useradd|usermod|",
            r"userdel|adduser|passwd|crontab|systemctl|service|mysql\w*|psql|pg_dump|sqlite3|awk|gawk|nawk|sed|",
            r"grep|egrep|fgrep|xxd|hexdump|od|base64|openssl|gpg|gzip|gunzip|bzip2|unzip|zcat|tar|cpio|dd|mkfifo|",
            r"mknod|mkdir|rmdir|rm|mv|cp|ln|ls|ps|pwd|df|du|env|printenv|export|set|unset|setenv|alias|history|",
            r"lsof|lspci|lsusb|lsmod|dmesg|uptime|hostname|mount|umount|kill|pkill|killall|reboot|halt|init|",
            r"shutdown|poweroff|nohup|screen|tmux|emacs|vim?|nano|ed|ex|rvim|man|strings|tee|wc|cut|sort|uniq|tr|",
            r"rev|nl|tac|cat|head|tail|less|more|echo|printf|id|sleep|find|locate|which|whereis|type|file|stat|",
            r"touch|diff|cmp|cmd(?:\.exe)?|command\.com|powershell(?:\.exe)?|pwsh|wscript|cscript|certutil|",
            r"bitsadmin|regsvr32|rundll32|mshta|msiexec|wmic|schtasks|tasklist|taskkill|net1?(?:\.exe)? (?:user|",
            r"view|use|localgroup|group|share|start|stop|accounts)|netsh|nltest|reg(?:\.exe)? (?:add|query|delete|",
            r"export)|sc(?:\.exe)? (?:query|create|start|stop)|systeminfo|icacls|cacls|attrib|dir|del|erase|copy|",
            r"xcopy|robocopy|move|ren|rd|md|vol|ver|assoc|ftype|arp|nbtstat|route|pathping|getmac|gpresult|query|",
            r"qwinsta|whoami\.exe|forfiles|findstr|finger|last|lastlog|w|who|users|groups|busybox|apt(?:-get)?|",
            r"yum|dnf|dpkg|rpm|pip\d?|npm|gem|make|gdb|strace|ltrace|ldd|tclsh|expect|irb|jrunscript|java|javac|",
            r"mail|sendmail|nsenter|docker|kubectl|unshare|capsh)(?:\.exe|\.bat|\.com)?(?:\s+(?:-{1,2}[\w-]+|",
            r"/[\w?:]|[/~.$*?%\\]|[\w.-]*[/\\.@:*]|\d|>|<|\||&|\w+\s*(?:$|[|;&><`)])|[\w-]+ -)|\s*(?:$|[|",
            r";&><`)}])|\s*[<>|])",
        ))
        .open_only(),
    rule("command_name_after_mark", Command, 5, Bare,
        concat!(
            r"(?:[;|&`\n]|\$\(|&&|\|\|)\s*(?:[\w./-]*/)?(?:wget|curl|nc|ncat|netcat|bash|zsh|ksh|csh|tcsh|sh|",
            r"chmod|chown|uname|ifconfig|ipconfig|netstat|whoami|nslookup|telnet|traceroute|python\d?|perl|ruby|",
            r"php|gcc|tftp|scp|rsync|ssh|socat|nmap|crontab|cat|ls|ps|id|rm|ping|sleep|echo|printf|net user|",
            r"net view|cmd(?:\.exe)?|powershell|certutil|dir|type|del|systeminfo|tasklist|find|wmic|awk|sed|grep|",
            r"tail|head|env|printenv|base64|mkfifo|cp|mv|pwd|dig|reboot|kill|useradd|passwd|tar|exec|eval|source|",
            r"export)\b(?:\s+(?:-{1,2}\w|/[\w?:]|[/~$*\\]|\w*[/\\@]|\d+\s*(?:$|[;|&`)]))|\s*(?:$|[|;&><`)}])|\$)",
        )),
    rule("command_path", Command, 5, Bare, concat!(
            r"/(?:usr/(?:local/)?)?s?bin/(?:\w|\?|\*|\.|-|\[)|\bcmd(?:\.exe)?\s*/[ckr]\b|",
            r"\bpowershell(?:\.exe)?\s+-\w|\b(?:bash|sh|zsh|ksh) -[ci]\b|/dev/(?:tcp|udp)/|%(?:comspec|systemroot|",
            r"windir|programfiles|temp|userprofile|path)(?::[^%]{1,20})?%|\b\w+\.(?:exe|bat|cmd|ps1|vbs|",
            r"sh)\b\s*(?:[|;&>]|/\w|-\w)|\b(?:wget|curl)\s+(?:-\w+\s+)*(?:https?|ftp)://|\bpython\d? -c|\bperl -e|",
            r"\bphp -r|\bruby -e|\bnc (?:-\w+ )+|\brm -[rf]+\b|\bchmod (?:\d{3,4}|[ugoa]*\+[rwxs]+)\b",
        )),
    rule("command_batch", Command, 5, Text, concat!(
            r#"\bfor (?:/[dflr] )?.{0,60}?%{1,2}\S{0,12} in ?\(.{0,120}\) ?do\b|\bif (?:/i )?(?:not )?(?:exist|"#,
            r#"errorlevel|cmdextversion) +\S|\bif (?:/i )?(?:not )?defined \w+ +\w|"#,
            r#"\bif (?:/i )?(?:not )?["'\[(]?%\S{1,20} ?==|\bif (?:/i )?(?:not )?\S{1,30} ?(?:==| equ | neq | lss |"#,
            r#" leq | gtr | geq )"#,
        )),
    rule("command_wildcards", Command, 5, Bare, concat!(
            r"/\?\?\?/|/(?:\w{0,3}[?*\[]){1,3}[\w?*\]]*/\w*[?*\[]|\w+\[[^\]]{1,3}\]\w*/|/b\w?\?\w?/|",
            r"\{\w+,[\w/.*-]+\}",
        )),
    rule("command_powershell", Command, 5, Bare, concat!(
            r"\b(?:invoke|get|set|new|start|stop|add|remove|write|out|import|export|convertto|convertfrom|select|",
            r"where|foreach|test|enter|register|read|copy|move|rename|clear|update|wait|measure|compare|disable|",
            r"enable|restart|resume|suspend|push|pop|join|split|resolve|unregister|use|trace|tee|sort|show|save|",
            r"format|group|debug|complete|checkpoint|connect|disconnect|limit|receive|send|restore|reset|",
            r"undo)-(?:expression|webrequest|restmethod|command|item\w*|content|process|service|object|childitem|",
            r"location|host|output|wmi\w*|module|eventlog|acl|credential|variable|alias|pssession\w*|scheduledjob|",
            r"computer\w*|job|member|date|history|culture|unique|path|clixml|csv|html|json|xml|string|help|",
            r"event\w*|random|transcript|executionpolicy|psdebug|tracesource|psbreakpoint|psdrive|psprovider|",
            r"pssnapin|typedata|formatdata|counter|hotfix|wsman\w*|controlpanelitem|uiculture|host|type|runspace|",
            r"debugger|null|file|gridview|printer|default)\b",
        )),
    rule("command_code", Command, 5, Bare, concat!(
            r"\$\{\s*(?:jndi|lower|upper|env|sys|java|date|base64|script|dns|url|::-|:-|main|ctx|marker|bundle|sd|",
            r"log4j)\s*:?|\$\{\$\{|\bjava\.lang\.|\bjava\.(?:io|net|util|beans)\.\w|\bprocessbuilder\b|",
            r"\bgetruntime\b|\bclass\.(?:module\.)?classloader|#_memberaccess|@java\.|#(?:context|request|session|",
            r"application)\[|\bro0abx|\bk0shj|\brkxjsbhbhcv|\baced0005\b|\bchild_process\b|\b(?:require|",
            r"import)\s*\(\s*(?:child_process|fs|http|net|os|vm)\b|\bprocess\.(?:env|mainmodule|binding|exit|",
            r"kill)\b|__proto__|\bconstructor\.(?:prototype|constructor)\b|_\$\$nd_func|\bsubprocess\.|",
            r"\bos\.(?:system|popen)\b|__(?:class|globals|builtins|import|subclasses|mro)__|\bxmldecoder\b|",
            r"\bcom\.sun\.|\bjavax\.\w|\borg\.(?:apache|springframework|codehaus|mozilla)\.\w+|\bognl\b|\bt\(java|",
            r"\bfreemarker\.|\bweblogic\b|\bjndi\s*:",
        )),
    // ---- Files from elsewhere and code of interpreters
    rule("include_address", Inclusion, 5, Text, concat!(
            r"(?:^|[=\s])(?:ht|f)tps?:/{1,3}(?:[^/@\s]*@)?(?:\d{1,3}\.){3}\d{1,3}\b|(?:^|[=\s])(?:ht|",
            r"f)tps?://(?:0x[0-9a-f]+|\d{8,10}|localhost|\[[0-9a-f:]+\])(?:[:/]|$)|169\.254\.169\.254|",
            r"metadata\.google\.internal",
        )),
    rule("include_scheme", Inclusion, 5, Text, concat!(
            r"\b(?:php|phar|zip|zlib|expect|ogg|ssh2(?:\.\w+)?|rar|glob|compress\.\w+|bzip2|file|gopher|dict|",
            r"ldaps?|rmi|iiop|jar|netdoc|smb|cifs|mailto|telnet|local_file|classpath|view-source|sftp|tftp|",
            r"mongodb|imap|news|svn(?:\+ssh)?|php\+\w+|udp|tcp):/{1,2}\S",
        )),
    rule("include_with_end", Inclusion, 5, Text, r"^(?:ht|f)tps?://.{3,200}\?+$"),
    rule("include_call", Inclusion, 5, Bare, r"\b(?:include|require)(?:_once)?\s*(?:\(|\s)\s*(?:\(|\$|\S{0,40}://|/\w|\.\./)"),
    rule("include_from_elsewhere", Inclusion, 5, Text, r"^(?:ht|f)tps?:/{1,3}\S").open_only(),
    rule("code_php", Inclusion, 5, Bare,
        concat!(
            r"<\?(?:php|=|\s|$)|\?>|\b(?:system|exec|passthru|shell_exec|popen|proc_open|pcntl_\w+|assert|",
            r"base64_(?:de|en)code|phpinfo|phpversion|phpcredits|php_uname|php_sapi_name|file_get_contents|",
            r"file_put_contents|fopen|fread|fwrite|fputs|fgets|fsockopen|readfile|readdir|opendir|scandir|glob|",
            r"preg_\w+|ereg\w*|create_function|call_user_func\w*|call_user_method\w*|func_get_args?|",
            r"function_exists|get_defined_\w+|getenv|putenv|getcwd|get_current_user|getmy\w+|ini_(?:get|set)\w*|",
            r"is_(?:dir|file|callable|writable|readable|executable)|move_uploaded_file|array_(?:map|filter|",
            r"walk\w*|diff\w*|udiff\w*|uintersect\w*|reduce)|str_rot13|str_(?:re)?place|gzinflate|gzuncompress|",
            r"gzdecode|gz\w+|bzopen|rawurldecode|urldecode|var_dump|print_r|highlight_file|show_source|",
            r"parse_(?:ini_file|str|url)|posix_\w+|mb_\w+|mb_ereg\w*|register_\w+_function|unserialize|unlink|",
            r"symlink|tempnam|tmpfile|touch|chmod|usort|uasort|uksort|iterator_apply|simplexml_load_\w+|",
            r"curl_(?:exec|init|\w+)|mysql_\w+|mysqli_\w+|odbc_\w+|sqlite_\w+|pg_\w+|ob_start|ob_\w+|error_log|",
            r"extract|import_request_variables|dl|eval|virtual|chdir|chroot|mail|escapeshell\w+|pfsockopen|",
            r"stream_\w+|socket_\w+|spl_autoload|session_start|set_error_handler|setcookie|define|sleep|strrev|",
            r"hex2bin|pack|convert_uu\w+|apache_\w+|zend_\w+|xmldoc|lcg_value|ftok|filter_\w+|gethostby\w+|",
            r"image\w+|exif_\w+|hash_\w+|md5_file|sha1_file|proc_\w+|syslog|ftp_\w+)\s*\([^)]{0,200}\)?|\$_(?:get|",
            r"post|request|server|cookie|session|files|env)\b|\$(?:globals|http_\w+|php_errormsg|argv|argc)\b|",
            r"\$\{?\w+\}?\s*\(|\$\w+\[['\d\w]*\]\s*\(|\bo:\d+:\w+:\d+:\{|\b[oc]:\+?\d+:|\ba:\d+:\{|\$\{@|",
            r"\b(?:auto_prepend_file|auto_append_file|allow_url_(?:include|fopen)|disable_functions|open_basedir|",
            r"safe_mode|suhosin\.\w+|session\.\w+|mbstring\.\w+)\s*[=%]|<\?\s*echo|\[php\]|\[/php\]",
        ))
        ,
    rule("code_php_name", Inclusion, 5, Bare, concat!(
            r"base64_(?:de|en)code|call_user_(?:func|method)|create_function|file_(?:get|put)_contents|fsockopen|",
            r"gz(?:decode|inflate|uncompress)|passthru|pcntl_exec|php_(?:uname|sapi_name)|phpinfo|posix_\w+|",
            r"proc_open|shell_exec|move_uploaded_file|highlight_file|show_source|str_rot13|escapeshell\w+|",
            r"get_defined_\w+|register_shutdown|preg_replace_callback|unserialize|curl_exec|readgzfile|",
            r"parse_ini_file|array_map\b|bzopen|is_executable|ini_get_all",
        )),
    rule("code_php_variable", Inclusion, 5, Text, concat!(
            r"\$\s*(?:\{[^}]{1,30}\}|[a-z_]\w*(?:\[[^\]]{0,20}\]|\{[^}]{0,20}\})?)\s*(?:\[[^\]]{0,20}\]+|",
            r"/\*[^*]{0,20}\*/|\s)*\(",
        )),
    rule("code_template", Inclusion, 5, Text, concat!(
            r"\{\{\s*(?:\d+\s*[*+-]|config|self|request|''|\[\]|_self|cycler|lipsum|url_for|get_flashed)|",
            r"\{%\s*(?:for|if|set|import|include|extends)|<%[=@ ]|#\{\s*\d+\s*\*|\$\{\s*\d+\s*\*\s*\d|<#assign|",
            r"<!--#\s*(?:exec|include|echo|config|printenv|flastmod|fsize)\b",
        )),
    rule("header_split", Inclusion, 5, Text, concat!(
            r"\n\s*(?:set-cookie|location|content-(?:type|length)|transfer-encoding|refresh|x-[\w-]+|host|",
            r"http/\d)\s*[:.\d]",
        )),
    rule("ldap", Inclusion, 5, Text, 
        r"\)\s*\(\s*[|&!]\s*(?:\(|$)|\*\)\s*\(\s*\w+\s*=|\(\s*[|&]\s*\(\s*\w+\s*[~<>]?=|\)\)\s*\(\s*[|&(]"),
    // ---- Level 2: what free text seldom contains
    rule("sql_many_marks", Sql, 3, Text, r#"['"`].{0,60}['"`].{0,60}[=<>()].{0,60}['"`]"#).from(Paranoia::Two),
    rule("sql_tokens_alone", Sql, 1, Sign(is_sql), "").from(Paranoia::Two),
    rule("script_tokens_alone", Script, 1, Sign(is_script), "").from(Paranoia::Two),
    rule("sql_statement_words", Sql, 5, Bare, concat!(
            r"\b(?:select\b.{1,80}\bfrom|insert\b.{1,40}\binto|delete\b.{1,20}\bfrom|update\b.{1,40}\bset|",
            r"drop (?:table|database|index)|alter table|create (?:table|database))\b",
        )).from(Paranoia::Two),
    rule("script_any_angle", Script, 5, Text, r"<[a-z/!?]").from(Paranoia::Two),
    rule("command_any_name", Command, 5, Bare, r"[;|&`]\s*\w+(?:\s+[/-]|\s*[;|&`])").from(Paranoia::Two),
    // ---- Level 3: words
    rule("sql_words", Sql, 5, Bare, r"\b(?:select|insert|update|delete|drop|alter|union|truncate|exec|declare|having|waitfor)\b").from(Paranoia::Three),
    rule("script_words", Script, 5, Bare, r"\b(?:script|javascript|iframe|onerror|onload|document|window|alert|eval)\b").from(Paranoia::Three),
    rule("command_words", Command, 5, Bare, r"\b(?:wget|curl|bash|chmod|passwd|cmd|powershell|whoami|uname)\b").from(Paranoia::Three),
    // ---- Level 4: marks
    rule("marks", Sql, 5, Text, r#"[<>;|`$\\{}\[\]"'=#%*^~]"#).from(Paranoia::Four),
];

/// Whether a tokenizer of SQL reads a statement into the value, as text or inside quotes.
fn is_sql(known: &Canonical) -> bool {
    let text = first(&known.text);
    // A parser of input that somebody chose: if it fails, it has seen nothing.
    catch_unwind(|| libinjectionrs::detect_sqli(text).is_injection()).unwrap_or(false)
}

/// Whether a tokenizer of HTML reads a script into the value.
fn is_script(known: &Canonical) -> bool {
    let text = first(&known.text);
    catch_unwind(|| libinjectionrs::detect_xss(text).is_injection()).unwrap_or(false)
}

fn first(text: &str) -> &[u8] {
    &text.as_bytes()[..text.len().min(TOKENS_BYTES_MAX)]
}

/// A quote that nothing closes. Names and short forms of words have one between letters.
fn has_open_quote(known: &Canonical) -> bool {
    let bytes = known.text.as_bytes();
    let marks = |mark: u8| {
        let is_word = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphabetic);
        (0..bytes.len())
            .filter(|at| bytes[*at] == mark && !(*at > 0 && is_word(at - 1) && is_word(at + 1)))
            .count()
    };
    marks(b'\'') % 2 == 1 || marks(b'"') % 2 == 1
}
