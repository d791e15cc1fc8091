// A program as it was written for the original's QNanostate, unchanged: a list of what comes, and a line to send.
//
//   legacy [IDENTITY [URL]]
#include <QApplication>
#include <QLineEdit>
#include <QListWidget>
#include <QVBoxLayout>
#include <QWidget>

#include <cstdio>
#include <cstring>

#include "qtnanostate/qnanostate.h"

class Window : public QWidget
{
    Q_OBJECT

public:
    Window(QNanostate *nanostate)
        : nanostate(nanostate), list(new QListWidget(this)), line(new QLineEdit(this))
    {
        setWindowTitle("QNanostate");
        resize(480, 320);
        line->setPlaceholderText("Text to send as the state \"message\"");
        QVBoxLayout *layout = new QVBoxLayout(this);
        layout->addWidget(list);
        layout->addWidget(line);
        connect(nanostate, SIGNAL(state_updated(const std::string &, const std::string &, const std::string &)),
                this, SLOT(show_state(const std::string &, const std::string &, const std::string &)));
        connect(line, SIGNAL(returnPressed()), this, SLOT(send()));
    }

public slots:
    void show_state(const std::string &sender, const std::string &name, const std::string &data)
    {
        list->addItem(QString::fromStdString(sender + ": " + name + " = " + data));
        list->scrollToBottom();
    }

    void send()
    {
        if (nanostate->send_state_update("message", line->text().toStdString()))
            line->clear();
    }

private:
    QNanostate *nanostate;
    QListWidget *list;
    QLineEdit *line;
};

int main(int argc, char **argv)
{
    if (argc > 1 && argv[1][0] == '-') {
        std::printf("usage: legacy [IDENTITY [URL]]\n");
        return std::strcmp(argv[1], "--help") == 0 || std::strcmp(argv[1], "-h") == 0 ? 0 : 2;
    }
    QNanostate nanostate(argc > 1 ? argv[1] : "legacy", argc > 2 ? argv[2] : "tcp://127.0.0.1:15000");
    QApplication app(argc, argv);

    Window window(&nanostate);
    window.show();
    nanostate.start();

    int result = app.exec();
    nanostate.requestInterruption();
    nanostate.wait();
    return result;
}

#include "main.moc"
