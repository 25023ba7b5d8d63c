//! Every text that the terminal clients show, full-screen and plain, in each language: one table, a line in two languages
//! side by side.
//!
//! `{0}`, `{1}` stand for what [`fill`] puts in. What the server says of an error is shown in English where its code
//! has no line here.

use jiff::civil::Date;
use sparrow_client::{DisconnectReason, Error, LogOutReason};
use sparrow_protocol::{CloseCode, Code};

use crate::command::Verb;
use crate::text::clean_line;

/// A language of the terminal clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Simplified Chinese.
    Chinese,
}

impl Language {
    /// The language that a locale such as `zh_CN.UTF-8` asks for. English for those that are not in the table.
    pub fn of_locale(locale: &str) -> Self {
        if locale.starts_with("zh") { Self::Chinese } else { Self::English }
    }

    /// The language of the environment: the first of `LC_ALL`, `LC_MESSAGES`, `LANG` that is set.
    pub fn of_environment() -> Self {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(set);
        locale.map_or(Self::English, |locale| Self::of_locale(&locale))
    }

    /// Its texts.
    pub fn texts(self) -> &'static Texts {
        match self {
            Self::English => &ENGLISH,
            Self::Chinese => &CHINESE,
        }
    }
}

macro_rules! texts {
    ($($name:ident: $english:literal, $chinese:literal;)+) => {
        /// The texts of one language.
        #[derive(Debug, PartialEq, Eq)]
        pub struct Texts {
            language: Language,
            $(#[doc = concat!("\"", $english, "\"")] pub $name: &'static str),+
        }

        static ENGLISH: Texts = Texts { language: Language::English, $($name: $english),+ };
        static CHINESE: Texts = Texts { language: Language::Chinese, $($name: $chinese),+ };

        #[cfg(test)]
        const PAIRS: &[(&str, &str, &str)] = &[$((stringify!($name), $english, $chinese)),+];
    };
}

texts! {
    // The frame.
    conversations: "Conversations", "会话";
    no_conversation: "no conversation", "没有会话";
    notes: "Notes to myself", "我的笔记";
    unnamed: "(unnamed)", "（未命名）";
    members: "{0} members, {1} online", "{0} 人，{1} 人在线";
    former_member: "no longer a member", "已不在群中";
    online: "online", "在线";
    offline: "offline", "离线";
    user: "user {0}", "用户 {0}";
    hint: "Type a message and press Enter. F1 for help.", "输入消息后按回车发送，按 F1 查看帮助。";
    hint_short: "F1 help", "F1 帮助";
    nobody_yet: "Nobody has written here yet. Say hello!", "这里还没有消息，打个招呼吧！";
    loading: "loading...", "加载中……";
    beginning: "the beginning", "从这里开始";
    new_messages: "new", "新消息";
    below: "{0} new below, End shows them", "下方有 {0} 条新消息，按 End 查看";
    scrolled: "earlier messages, End goes back", "正在看历史消息，按 End 返回";
    too_small: "window too small", "窗口太小";

    // The connection.
    connecting: "connecting...", "正在连接……";
    connected: "connected", "已连接";
    catching_up: "catching up...", "正在同步……";
    reconnecting: "no connection ({0}); next try in {1} s", "连接已断开（{0}），{1} 秒后重试";
    reconnecting_now: "no connection ({0}); trying again...", "连接已断开（{0}），正在重试……";
    unreachable: "server not reachable", "无法连接服务器";
    network: "network trouble", "网络中断";
    untrusted: "certificate not trusted", "证书不受信任";
    silence: "server is silent", "服务器无响应";
    goodbye: "server: {0}", "服务器：{0}";
    restarting: "server restarts", "服务器正在重启";
    busy: "server is busy", "服务器繁忙";
    ended: "logged out ({0}); start again and log in", "已退出登录（{0}）；请重新启动并登录";
    word_requested: "as you asked", "由你操作";
    word_revoked: "this device was logged out", "此设备已被登出";
    word_replaced: "replaced by another log-in or a newer connection of this device", "已在别处登录，或此设备有更新的连接";
    word_unauthenticated: "the server does not accept this device any more", "服务器不再接受此设备";
    protocol: "protocol error", "协议错误";
    waiting: "{0} unsent", "{0} 条待发送";
    failed: "{0} failed", "{0} 条发送失败";

    // Messages.
    sending: "unsent", "待发送";
    sent: "sent", "已发送";
    delivered: "delivered", "已送达";
    delivered_to: "delivered to {0}", "已送达 {0} 人";
    read: "read", "已读";
    read_by: "read by {0}", "{0} 人已读";
    not_sent: "not sent: {0} (:retry or :discard)", "发送失败：{0}（:retry 重发，:discard 放弃）";
    erased: "(deleted)", "（已删除）";
    damaged: "(the server cannot read this entry any more)", "（服务器已无法读取此条）";
    more_lines: "... {0} more lines", "……还有 {0} 行";
    file: "[file] {0}", "[文件] {0}";
    other_content: "[{0}]", "[{0}]";
    made_group: "{0} made the group", "{0} 创建了群组";
    added: "{0} added {1}", "{0} 邀请了 {1}";
    joined: "{0} joined", "{0} 加入了";
    left: "{0} left", "{0} 离开了";
    removed: "{0} removed {1}", "{0} 移除了 {1}";
    now_role: "{0} made {1} {2}", "{0} 将 {1} 设为 {2}";
    renamed: "{0} named the group '{1}'", "{0} 将群名改为“{1}”";
    described: "{0} changed the description", "{0} 修改了群简介";
    role_owner: "owner", "群主";
    role_admin: "admin", "管理员";
    role_member: "member", "成员";
    typing_one: "{0} is typing...", "{0} 正在输入……";
    typing_many: "{0} people are typing...", "{0} 人正在输入……";
    me: "me", "我";

    // Lists over the screen.
    close: "Esc closes", "Esc 关闭";
    choose: "Enter chooses, Esc closes", "回车选择，Esc 关闭";
    help: "Keys and commands", "按键与命令";
    keys: "Keys", "按键";
    commands: "Commands (a line that begins with a colon; Tab completes)", "命令（以冒号开头，按 Tab 补全）";
    who_is_online: "Online: {0}", "在线：{0}";
    users_found: "Users '{0}...': {1}", "以“{0}”开头的用户：{1}";
    found: "'{0}': {1} found", "“{0}”：找到 {1} 条";
    searching: "'{0}': searching...", "“{0}”：搜索中……";
    emoji_page: "Emoji, page {0} of {1}", "表情，第 {0} 页，共 {1} 页";
    nothing: "nothing here", "没有内容";
    info: "Who and where am I", "我的信息";
    info_user: "user", "用户";
    info_server: "server", "服务器";
    info_device: "device", "设备";
    info_connection: "connection", "连接";
    info_conversation: "conversation", "会话";
    info_role: "my role", "我的角色";
    info_members: "members", "成员";
    info_language: "language", "语言";
    this_language: "English", "简体中文";
    version: "version", "版本";

    // Keys.
    key_send: "send; in a list: choose", "发送；在列表中为选择";
    key_newline: "new line", "换行";
    key_complete: "complete a command, a name or an emoji", "补全命令、名字或表情";
    key_scroll: "scroll; back to the first message", "滚动，可一直翻到第一条消息";
    key_ends: "first loaded message, last message", "最早已加载的消息、最新消息";
    key_switch: "previous, next, n-th conversation", "上一个、下一个、第 n 个会话";
    key_unread: "next conversation with unread messages", "下一个有未读消息的会话";
    key_list: "list of conversations", "会话列表";
    key_search: "search", "搜索";
    key_recall: "lines typed before (in the first or last line)", "调出之前输入的内容（在首行或末行时）";
    key_edit: "begin and end of the line; delete to them; delete a word", "行首、行尾；删到行首、行尾；删除一个词";
    key_close: "close a list, go back to the last message", "关闭列表，回到最新消息";
    key_quit: "clear the line; twice: quit", "清空输入；连按两次退出";
    key_help: "this page", "本页";

    // Commands.
    do_to: "open the conversation with a user, or send to them (also NAME;;TEXT)", "打开与某人的会话，或直接发送（也可写 名字;;内容）";
    do_group: "open a group", "打开群组";
    do_groups: "list conversations", "列出所有会话";
    do_create: "make a group; quote a name with spaces", "创建群组，名字含空格时加引号";
    do_invite: "add members to this group", "邀请成员";
    do_kick: "remove members from this group", "移除成员";
    do_leave: "leave this group", "退出群组";
    do_online: "who is online", "谁在线";
    do_users: "users whose names begin so", "按前缀查找用户";
    do_search: "search the history; :q alone quits", "搜索历史消息；单独 :q 退出";
    do_history: "show earlier messages", "显示更早的消息";
    do_emoji: "emoji by name; :smile: in a text becomes one", "按名字查看表情；消息中的 :smile: 会变成表情";
    do_retry: "send once more what was refused", "重发发送失败的消息";
    do_discard: "give up what was refused", "放弃发送失败的消息";
    do_info: "who and where I am", "我是谁、在哪里";
    do_help: "this page", "本页";
    do_quit: "leave", "退出";

    // What was done, and what went wrong.
    again_to_quit: "press Ctrl-C again, or type :q, to leave", "再按一次 Ctrl-C 或输入 :q 退出";
    no_group: "there is no group '{0}' in your list; :groups shows them", "没有名为“{0}”的群组，:groups 可列出全部";
    not_in_group: "this works in a group; open one with :group NAME", "此命令只能在群组中使用，请先 :group 打开";
    open_first: "open a conversation first: :to NAME or :group NAME", "请先打开会话：:to 名字 或 :group 名字";
    invited: "invited: {0}", "已邀请：{0}";
    kicked: "removed: {0}", "已移除：{0}";
    you_left: "you left '{0}'", "你已退出“{0}”";
    nothing_failed: "nothing has failed", "没有发送失败的消息";
    retried: "sending {0} again", "正在重发 {0} 条";
    discarded: "{0} discarded", "已放弃 {0} 条";
    at_beginning: "this is the beginning", "已经是第一条了";
    too_long: "a message holds at most 64 KiB; send it in parts", "单条消息最多 64 KiB，请分条发送";
    no_completion: "nothing to complete", "没有可补全的内容";
    missed: "too slow for what came in; read anew", "消息过多，已重新读取";
    lost: "the server was restored from a back-up; {0} of your messages are gone", "服务器从备份恢复，你有 {0} 条消息丢失";
    not_member: "you are no longer a member here", "你已不在该群组中";
    failed_send: "a message was not sent: {0}", "有消息发送失败：{0}";

    unknown_command: "there is no command :{0}; :all lists them all", "没有命令 :{0}，:all 可列出全部";
    usage: "write it like this: {0}", "正确写法：{0}";
    bad_name: "'{0}' is no user name", "“{0}”不是有效的用户名";
    bad_number: "'{0}' is not a number of at least 1", "“{0}”不是大于等于 1 的数字";

    not_connected: "not connected; try again when the connection is back", "未连接，请在连接恢复后再试";
    logged_out: "logged out; log in again", "已退出登录，请重新登录";
    outbox_full: "too many unsent messages; wait until some are sent, or :discard", "待发送的消息太多，请稍候";
    storage: "cannot use the local store; check that its directory is writable", "无法使用本地存储，请检查目录是否可写";
    not_found: "there is no such user or conversation", "没有这个用户或会话";
    forbidden: "you may not do this here", "你没有权限";
    not_permitted: "they do not take messages from you", "对方不接收你的消息";
    rate_limited: "too fast; wait a moment", "操作太频繁，请稍候";
    unavailable: "the server cannot do this now; try again later", "服务器暂时无法处理，请稍后再试";
    storage_full: "the server's disk is full; tell its operator", "服务器磁盘已满，请联系管理员";
    store_failed: "what is received cannot be kept any more; check that the disk has room, and start again",
        "无法继续保存收到的消息；请检查磁盘空间后重新启动";

    // Before and after the screen.
    password: "Password of {0}: ", "{0} 的密码：";
    no_password: "a password is needed; give --password-file FILE or set SPARROW_PASSWORD",
        "需要密码；请用 --password-file FILE 或设置 SPARROW_PASSWORD";
    left_unsent: "{0} messages are not sent; they wait for the next start", "有 {0} 条消息未发送；下次启动时继续发送";

    // Lines of plain chat, which scripts read; `sparrow chat --help` promises them.
    plain_opened: "open: {0}", "当前会话：{0}";
    plain_waiting: "waiting →{0}: {1}", "等待发送 →{0}：{1}";
    plain_failed: "failed →{0}: {1}", "发送失败 →{0}：{1}";
    plain_delivered: "delivered →{0} #{1} by {2}", "已送达 →{0} #{1}（{2}）";
    plain_read: "read →{0} #{1} by {2}", "已读 →{0} #{1}（{2}）";
    plain_gone: "gone →{0}: {1}", "丢失 →{0}：{1}";
    plain_lagged: "{0} events were too fast to show", "有 {0} 个事件来不及显示";
    plain_conversations: "conversations: {0}", "会话：{0}";
    plain_online: "online: {0}", "在线：{0}";
    plain_users: "users: {0}", "用户：{0}";
    plain_nobody: "nobody", "无";
    plain_no_search: "this works full-screen only; :history shows earlier messages", "仅全屏模式可搜索；:history 显示更早的消息";
    plain_info: "you are {0} (user {1}, device {2}), at {3}; open: {4}", "你是 {0}（用户 {1}，设备 {2}），服务器 {3}；当前会话：{4}";
    plain_role: "{0} changed the role of {1}", "{0} 更改了 {1} 的角色";
    plain_settings: "{0} changed the settings", "{0} 更改了设置";
    plain_emoji: "emoji {0}/{1}: {2}", "表情 {0}/{1}：{2}";
    plain_notes: "notes", "备忘";
    plain_system: "system", "系统";
    plain_help: "text: send to the open conversation; NAME;;text: send to a user; ::text: text that begins with a colon",
        "文字：发送到当前会话；名字;;文字：发送给用户；::文字：以冒号开头的文字";
}

/// A text with `{0}`, `{1}`, ... replaced. What is put in is not looked at again.
pub fn fill(text: &str, values: &[&str]) -> String {
    let mut filled = String::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        let number = rest[at + 1..].split('}').next().and_then(|number| number.parse::<usize>().ok());
        let value = number.and_then(|number| values.get(number));
        filled.push_str(value.copied().unwrap_or_default());
        rest = rest[at..].split_once('}').map_or("", |(_, after)| after);
    }
    filled.push_str(rest);
    filled
}

impl Texts {
    /// What a command does, for the help page.
    pub(crate) fn purpose(&self, verb: Verb) -> &'static str {
        match verb {
            Verb::To => self.do_to,
            Verb::Group => self.do_group,
            Verb::Groups => self.do_groups,
            Verb::Create => self.do_create,
            Verb::Invite => self.do_invite,
            Verb::Kick => self.do_kick,
            Verb::Leave => self.do_leave,
            Verb::Online => self.do_online,
            Verb::Users => self.do_users,
            Verb::Search => self.do_search,
            Verb::History => self.do_history,
            Verb::Emoji => self.do_emoji,
            Verb::Retry => self.do_retry,
            Verb::Discard => self.do_discard,
            Verb::Info => self.do_info,
            Verb::Help => self.do_help,
            Verb::Quit => self.do_quit,
        }
    }

    /// One sentence for an error of the SDK: the server's own in English, by its code in other languages.
    pub fn trouble(&self, error: &Error) -> String {
        match error {
            Error::NotConnected | Error::Unreachable(_) => self.not_connected.to_owned(),
            Error::LoggedOut => self.logged_out.to_owned(),
            Error::OutboxFull => self.outbox_full.to_owned(),
            Error::Storage(_) => self.storage.to_owned(),
            Error::Refused(refusal) => self.refusal(&refusal.code, &refusal.message),
            other => other.to_string(),
        }
    }

    /// One sentence for a refusal.
    pub fn refusal(&self, code: &str, message: &str) -> String {
        let is = |known: Code| code == known.as_str();
        let known = match () {
            () if is(Code::NotFound) => self.not_found,
            () if is(Code::Forbidden) => self.forbidden,
            () if is(Code::NotPermitted) => self.not_permitted,
            () if is(Code::RateLimited) => self.rate_limited,
            () if is(Code::Unavailable) || is(Code::Overloaded) => self.unavailable,
            () if is(Code::StorageFull) => self.storage_full,
            () => "",
        };
        if !message.is_empty() && (self.language == Language::English || known.is_empty()) {
            return clean_line(message);
        }
        if known.is_empty() { code.to_owned() } else { known.to_owned() }
    }

    /// Why there is no connection.
    pub fn no_connection(&self, reason: &DisconnectReason) -> String {
        match reason {
            DisconnectReason::Unreachable => self.unreachable.to_owned(),
            DisconnectReason::Untrusted => self.untrusted.to_owned(),
            DisconnectReason::Network(_) => self.network.to_owned(),
            DisconnectReason::Silence => self.silence.to_owned(),
            DisconnectReason::Goodbye(word) | DisconnectReason::Refused(word) => self.said(word),
            DisconnectReason::Storage(words) => clean_line(words),
            _ => self.protocol.to_owned(),
        }
    }

    fn said(&self, word: &str) -> String {
        let codes = [CloseCode::Shutdown, CloseCode::Overloaded, CloseCode::Idle, CloseCode::Slow];
        match codes.into_iter().find(|code| code.as_str() == word) {
            Some(CloseCode::Shutdown) => self.restarting.to_owned(),
            Some(CloseCode::Overloaded) => self.busy.to_owned(),
            Some(_) => self.network.to_owned(),
            None if word == Code::RateLimited.as_str() => self.rate_limited.to_owned(),
            None if word == Code::Unavailable.as_str() => self.unavailable.to_owned(),
            None => fill(self.goodbye, &[&clean_line(word)]),
        }
    }

    /// That the session is over, and why.
    pub fn over(&self, reason: &LogOutReason) -> String {
        let why = match reason {
            LogOutReason::Requested => self.word_requested.to_owned(),
            LogOutReason::Server(word) if word == CloseCode::Revoked.as_str() => self.word_revoked.to_owned(),
            LogOutReason::Server(word) if word == CloseCode::Replaced.as_str() => self.word_replaced.to_owned(),
            LogOutReason::Server(word) => clean_line(word),
            _ => self.word_unauthenticated.to_owned(),
        };
        fill(self.ended, &[&why])
    }

    /// A day, as the line between two days shows it.
    pub(crate) fn day(&self, date: Date) -> String {
        if self.language == Language::Chinese {
            let weekday = ["一", "二", "三", "四", "五", "六", "日"]
                .get(date.weekday().to_monday_zero_offset().unsigned_abs() as usize)
                .copied()
                .unwrap_or_default();
            return format!("{}年{}月{}日 星期{weekday}", date.year(), date.month(), date.day());
        }
        date.strftime("%A, %-d %B %Y").to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_have_the_same_places_to_fill() {
        for (name, english, chinese) in PAIRS {
            for place in ["{0}", "{1}", "{2}"] {
                assert_eq!(english.contains(place), chinese.contains(place), "{name} {place}");
            }
            assert!(!english.is_empty() && !chinese.is_empty(), "{name}");
        }
    }

    #[test]
    fn filling_takes_values_as_they_are() {
        assert_eq!(fill("{1} of {0}", &["a{1}", "b"]), "b of a{1}");
        assert_eq!(fill("none {0", &["x"]), "none x");
        assert_eq!(fill("{7}", &[]), "");
    }

    #[test]
    fn the_environment_chooses_the_language() {
        assert_eq!(Language::of_locale("zh_CN.UTF-8"), Language::Chinese);
        assert_eq!(Language::of_locale("de_DE.UTF-8"), Language::English);
        assert_eq!(Language::of_locale("C"), Language::English);
    }

    #[test]
    fn days_are_written_as_each_language_does() {
        let date = jiff::civil::date(2026, 11, 23);
        assert_eq!(ENGLISH.day(date), "Monday, 23 November 2026");
        assert_eq!(CHINESE.day(date), "2026年11月23日 星期一");
    }
}
