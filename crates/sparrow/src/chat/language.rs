//! Every text that plain chat shows, in each language: one table.

use clap::ValueEnum;

/// A language of the texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    /// English
    En,
    /// Simplified Chinese
    Zh,
}

macro_rules! texts {
    ($($name:ident: $english:literal, $chinese:literal;)+) => {
        /// A text, in no language yet. `{}` stand for arguments, in this order.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Text { $($name),+ }

        const fn template(language: Language, text: Text) -> &'static str {
            match (language, text) {
                $((Language::En, Text::$name) => $english, (Language::Zh, Text::$name) => $chinese,)+
            }
        }

        #[cfg(test)]
        const ALL: &[Text] = &[$(Text::$name),+];
    };
}

texts! {
    Password: "Password of {}: ", "{} 的密码：";
    NoPassword: "a password is needed; give --password-file FILE or set SPARROW_PASSWORD",
        "需要密码；请用 --password-file FILE 或设置 SPARROW_PASSWORD";
    Connected: "connected", "已连接";
    Disconnected: "disconnected ({}); trying again in {} s", "连接已断开（{}）；{} 秒后重试";
    Unreachable: "the server cannot be reached", "无法连接服务器";
    Untrusted: "the server's certificate is not trusted", "服务器证书不受信任";
    ConnectionLost: "the connection was lost", "连接中断";
    Silence: "the server does not answer", "服务器无响应";
    ServerSays: "the server says: {}", "服务器：{}";
    Protocol: "the server speaks another protocol", "服务器使用其他协议";
    StoreFailed: "what is received cannot be kept any more; check that the disk has room, and start again",
        "无法继续保存收到的消息；请检查磁盘空间后重新启动";
    LoggedOut: "logged out ({}); start again and log in", "已退出登录（{}）；请重新启动并登录";
    Epoch: "the server was restored from a back-up; {} of your messages are gone", "服务器已从备份恢复；您有 {} 条消息丢失";
    Lost: "gone →{}: {}", "丢失 →{}：{}";
    Lagged: "{} events were too fast to show", "有 {} 个事件来不及显示";
    Opened: "open: {}", "当前会话：{}";
    NothingOpen: "no conversation is open; :to NAME or :group NAME opens one",
        "没有打开的会话；用 :to 名字 或 :group 群名 打开";
    Waiting: "waiting →{}: {}", "等待发送 →{}：{}";
    Failed: "failed →{}: {}", "发送失败 →{}：{}";
    Delivered: "delivered →{} #{} by {}", "已送达 →{} #{}（{}）";
    Read: "read →{} #{} by {}", "已读 →{} #{}（{}）";
    Sent: "sent", "已发送";
    NoGroup: "you are in no group '{}'; :groups lists yours", "您不在群“{}”中；:groups 列出您的会话";
    NotGroup: "that works in a group only; :group NAME opens one", "只能在群里使用；用 :group 群名 打开";
    Conversations: "conversations: {}", "会话：{}";
    Online: "online: {}", "在线：{}";
    Users: "users: {}", "用户：{}";
    Nobody: "nobody", "无";
    Left: "you left {}", "您已离开 {}";
    NoSearch: "this version cannot search; :history shows earlier messages", "此版本不能搜索；:history 显示更早的消息";
    NoEarlier: "there is nothing earlier", "没有更早的消息";
    Info: "you are {} (user {}, device {}), at {}; open: {}", "您是 {}（用户 {}，设备 {}），服务器 {}；当前会话：{}";
    Unsent: "{} messages are not sent; they wait for the next start", "有 {} 条消息未发送；下次启动时继续发送";
    Again: "{} messages go out again", "重新发送 {} 条消息";
    Discarded: "{} messages given up", "已放弃 {} 条消息";
    Created: "{} made the group", "{} 创建了群";
    Added: "{} added {}", "{} 邀请了 {}";
    Joined: "{} joined", "{} 加入了";
    MemberLeft: "{} left", "{} 离开了";
    Removed: "{} removed {}", "{} 移除了 {}";
    Role: "{} changed the role of {}", "{} 更改了 {} 的角色";
    Renamed: "{} changed the settings", "{} 更改了设置";
    Erased: "(erased)", "（已删除）";
    Damaged: "(unreadable)", "（无法读取）";
    EmojiPage: "emoji {}/{}: {}", "表情 {}/{}：{}";
    SelfNotes: "notes", "备忘";
    System: "system", "系统";
    Help: "text: send to the open conversation; NAME;;text: send to a user; ::text: text that begins with a colon",
        "文字：发送到当前会话；名字;;文字：发送给用户；::文字：以冒号开头的文字";
}

impl Language {
    /// The language of the environment: the first of `LC_ALL`, `LC_MESSAGES`, `LANG` that is set.
    pub(super) fn of_environment() -> Self {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(set);
        if locale.is_some_and(|locale| locale.starts_with("zh")) { Self::Zh } else { Self::En }
    }

    /// The text with its arguments.
    pub(super) fn text(self, text: Text, arguments: &[&str]) -> String {
        let mut filled = String::new();
        let mut arguments = arguments.iter();
        for (index, part) in template(self, text).split("{}").enumerate() {
            if index > 0 {
                filled.push_str(arguments.next().unwrap_or(&""));
            }
            filled.push_str(part);
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_take_the_same_arguments() {
        for text in ALL {
            let count = |language| template(language, *text).matches("{}").count();
            assert_eq!(count(Language::En), count(Language::Zh), "{text:?}");
        }
    }

    #[test]
    fn arguments_are_not_taken_for_templates() {
        assert_eq!(Language::En.text(Text::Added, &["{}", "bob"]), "{} added bob");
    }
}
