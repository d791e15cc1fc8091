// Runs the tests in tst_*.qml.
#include "bench.h"

#include <QtQuickTest/quicktest.h>

class Setup : public QObject
{
    Q_OBJECT

public:
    Setup() { registerBench(); }
};

QUICK_TEST_MAIN_WITH_SETUP(nanostate, Setup)

#include "tst_quick.moc"
