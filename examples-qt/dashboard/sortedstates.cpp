#include "sortedstates.h"

#include <QtCore/QDateTime>
#include <QtCore/QJsonArray>
#include <QtCore/QJsonDocument>
#include <QtCore/QLocale>
#include <QtCore/QMetaType>
#include <QtCore/QVariant>
#include <QtQml/qqml.h>

namespace {

// NaN is none: it has no place among the others.
bool isNumber(const QVariant &value)
{
    const int type = value.userType();
    if (type == QMetaType::Double && qIsNaN(value.toDouble()))
        return false;
    return type == QMetaType::LongLong || type == QMetaType::ULongLong || type == QMetaType::Double;
}

QString words(const QVariant &value)
{
    const int type = value.userType();
    if (type == QMetaType::QVariantList || type == QMetaType::QVariantMap)
        return QString::fromUtf8(QJsonDocument(QJsonArray{QJsonValue::fromVariant(value)}).toJson(QJsonDocument::Compact));
    if (type == QMetaType::QByteArray)
        return QString::number(value.toByteArray().size());
    return value.toString();
}

} // namespace

SortedStates::SortedStates(QObject *parent)
    : QSortFilterProxyModel(parent)
    , m_collator(QLocale(QLocale::English))
{
    m_collator.setNumericMode(true);
    connect(this, &QAbstractItemModel::rowsInserted, this, &SortedStates::countChanged);
    connect(this, &QAbstractItemModel::rowsRemoved, this, &SortedStates::countChanged);
    connect(this, &QAbstractItemModel::modelReset, this, &SortedStates::countChanged);
    sort(0);
}

void SortedStates::registerType()
{
    // The type of sourceModel, which Qt 5 does not know by itself.
    qmlRegisterAnonymousType<QAbstractItemModel>("Dashboard", 1);
    qmlRegisterType<SortedStates>("Dashboard", 1, 0, "SortedStates");
}

void SortedStates::setSourceModel(QAbstractItemModel *model)
{
    QSortFilterProxyModel::setSourceModel(model);
    setSortRole(role(m_by));
}

void SortedStates::setFilter(const QString &filter)
{
    if (filter == m_filter)
        return;
    m_filter = filter;
    invalidateFilter();
    Q_EMIT filterChanged();
}

void SortedStates::setBy(const QString &by)
{
    if (by == m_by)
        return;
    m_by = by;
    // The role whose changes make the model sort again.
    setSortRole(role(by));
    invalidate();
    Q_EMIT byChanged();
}

void SortedStates::setDescending(bool descending)
{
    if (descending == isDescending())
        return;
    sort(0, descending ? Qt::DescendingOrder : Qt::AscendingOrder);
    Q_EMIT descendingChanged();
}

bool SortedStates::filterAcceptsRow(int row, const QModelIndex &parent) const
{
    const QString wanted = m_filter.trimmed();
    const QModelIndex index = sourceModel()->index(row, 0, parent);
    const auto has = [&](const QString &name) { return index.data(role(name)).toString().contains(wanted, Qt::CaseInsensitive); };
    return wanted.isEmpty() || has(QStringLiteral("name")) || has(QStringLiteral("sender"));
}

bool SortedStates::lessThan(const QModelIndex &a, const QModelIndex &b) const
{
    if (const int order = compare(a, b, m_by))
        return order < 0;
    int order = compare(a, b, QStringLiteral("name"));
    if (order == 0)
        order = compare(a, b, QStringLiteral("sender"));
    return isDescending() ? order > 0 : order < 0;
}

int SortedStates::role(const QString &name) const
{
    const QString of = name == QLatin1String("age") ? QStringLiteral("time") : name;
    return sourceModel() ? sourceModel()->roleNames().key(of.toUtf8(), -1) : -1;
}

int SortedStates::compare(const QModelIndex &a, const QModelIndex &b, const QString &by) const
{
    const QVariant x = a.data(role(by));
    const QVariant y = b.data(role(by));
    if (by == QLatin1String("value"))
        return compareValues(x, y);
    if (by != QLatin1String("age"))
        return compareTexts(x.toString(), y.toString());
    // A later time is a lower age.
    const QDateTime first = x.toDateTime();
    const QDateTime second = y.toDateTime();
    return first == second ? 0 : first > second ? -1 : 1;
}

// Numbers come first, by size.
int SortedStates::compareValues(const QVariant &a, const QVariant &b) const
{
    if (!isNumber(a) || !isNumber(b))
        return isNumber(a) ? -1 : isNumber(b) ? 1 : compareTexts(words(a), words(b));
    const double x = a.toDouble();
    const double y = b.toDouble();
    return x < y ? -1 : x > y ? 1 : 0;
}
